//! What the ledger can do, for clients that want to know before they try.

pub(crate) mod http;
#[cfg(test)]
mod tests;
