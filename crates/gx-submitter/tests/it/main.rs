//! Submitter and projector together, with a development ledger and a real PostgreSQL: whatever
//! fails, a command takes effect once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod archive;
mod blocked;
#[path = "../../../gx-projector/tests/it/chain.rs"]
#[expect(dead_code, reason = "the projector's tests use the rest of it")]
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
mod outages;
mod overtaking;
mod running;
mod storing;
mod wrong_peers;

// The module `chain` of the projector's tests runs these contracts, and keeps its ledger in this
// folder.
use gx_contract as _;
use tempfile as _;
