//! svc-tokenomics: wallets and balances.
