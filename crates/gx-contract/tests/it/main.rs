//! Tests of the contracts, called as a peer calls them, with a state in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod batches;
mod calls;
mod genesis;
mod journal;
mod ledger;
mod limits;
mod people;
mod precedence;
mod properties;
mod queries;
mod recorded;
mod table;
mod tables;
