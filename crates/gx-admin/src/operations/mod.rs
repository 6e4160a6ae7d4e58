//! What operators look at: the outbox, the projection, dead events, the system, the audit log.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;
