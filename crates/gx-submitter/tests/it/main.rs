//! The submitter and the projector together, against a development ledger and a real
//! PostgreSQL: whatever goes wrong, a command takes effect once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod archive;
mod blocked;
#[path = "../../../gx-projector/tests/it/chain.rs"]
#[allow(dead_code, reason = "the projector's tests use the rest of it")]
mod chain;
mod conflicts;
mod crash;
mod desk;
mod failures;
mod kinds;
mod lanes;
mod once;
mod operators;
mod order;
mod running;

// The chain beside the projector's tests keeps its ledger in a folder of it.
use tempfile as _;
