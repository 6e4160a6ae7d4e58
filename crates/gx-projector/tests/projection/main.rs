//! The projector against a real database and a ledger that speaks the real protocol.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod blocks;
mod constants;
mod decoding;
mod effects;
mod fake_chain;
mod leading;
mod outbox;
mod people;
mod rebuilding;
mod snapshot;
mod streams;
mod waiting;
mod workload;
mod world;
