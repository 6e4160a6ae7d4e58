//! Tells clients before they send a transfer whether the ledger can change accounts. Called by the
//! route `GET /api/v1/ledger`.

pub(crate) mod http;
#[cfg(test)]
mod tests;
