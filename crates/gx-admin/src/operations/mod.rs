//! Shows the state of the projection, the ledger and the outbox, and the audit log. Called by the
//! routes of svc-admin.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;
