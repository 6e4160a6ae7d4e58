//! Tells clients before they send a transfer whether the ledger can change accounts.

pub(crate) mod http;
#[cfg(test)]
mod tests;
