//! The protocol of `OutboxCommand` and `LedgerAttempt` under every fault that it is made for.
//!
//! Services, two submitters, two projectors and the development ledger run in one process. The
//! workers stop at each step of the protocol ([`gx_outbox::Probe`]), and a scheduler decides by
//! a seeded generator who goes on, who dies, who is overtaken, what the ledger does to an
//! envelope and when a database is put back. At the end the faults stop, everything drains, and
//! what GX promises is checked against the chain. A seed always gives the same run.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests use this crate; a panic is a failed run"
)]

mod actor;
mod backup;
mod book;
mod cast;
mod chain;
mod checks;
mod drain;
mod habits;
mod mirror;
mod play;
mod post;
mod read_model;
mod stage;

pub use play::{Outcome, play};
pub use stage::Stage;
