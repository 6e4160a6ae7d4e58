//! Simulates the protocol of `OutboxCommand` and `LedgerAttempt` with every fault that it must
//! survive.
//!
//! Services, two submitters, two projectors and the development ledger run in one process. The
//! workers stop at each step of the protocol ([`gx_outbox::sync_points::SyncPoints`]). A scheduler
//! with a seeded generator decides which worker continues, dies or is overtaken, what the ledger
//! does to an envelope, and when a database is restored. Storms hit everything at once. At the end
//! the faults stop, all work is finished, and the guarantees of GX are checked against the chain. A
//! seed always gives the same run. Called by `cargo xtask sim` and by the tests of this crate.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests use this crate; a panic is a failed run"
)]

mod actor;
mod backup;
mod chain;
mod chain_replay;
mod client_log;
mod crowd;
mod database_stall;
mod environment;
mod fault_rates;
mod old_envelopes;
mod read_model;
mod run;
mod storms;
mod workers;

pub use environment::Environment;
pub use run::{Outcome, run_seed, storms_of};
