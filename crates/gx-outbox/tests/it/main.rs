//! The outbox against a real PostgreSQL, without any ledger.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod enqueue;
mod look;
mod tip;
mod wake;
