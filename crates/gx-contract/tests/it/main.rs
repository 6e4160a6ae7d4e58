//! The contracts, called as a peer calls them, over a state in memory.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "these are tests")]

mod batches;
mod calls;
mod genesis;
mod journal;
mod ledger;
mod limits;
mod people;
mod properties;
mod queries;
mod recorded;
mod table;
mod tables;
