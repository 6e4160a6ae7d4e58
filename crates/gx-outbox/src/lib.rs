//! The outbox: commands on their way to the ledger.
//!
//! There is a module for each caller:
//!
//! - [`enqueue`]: services add commands in their own transactions;
//! - [`submitter`]: leases lanes, forms batches, stores each signed envelope and sends it;
//! - [`projector`]: settles commands by what the blocks say about them;
//! - [`operator`]: lists, retries and discards commands;
//! - [`tip`] and [`tasks`]: what services read about the ledger, and ask of the projector.
//!
//! Two tables make sure that a command takes effect once: `OutboxCommand` has a row for each
//! command that is requested, `LedgerAttempt` one for each envelope that was signed. This crate
//! never calls the ledger.

pub mod enqueue;
pub mod failure;
mod held;
mod lane;
mod logged_ids;
pub mod operator;
pub mod projector;
mod requeue;
mod stats;
mod store;
pub mod submitter;
pub mod sync_points;
pub mod tasks;
pub mod tip;
mod wake;
