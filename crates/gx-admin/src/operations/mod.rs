//! What operators look at: the projection, the system, the audit log.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;
