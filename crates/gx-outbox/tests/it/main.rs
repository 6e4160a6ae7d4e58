//! The outbox with a real PostgreSQL and without a ledger.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod due;
mod enqueue;
mod held;
mod lanes;
mod table_stats;
mod tip;
mod wake;
