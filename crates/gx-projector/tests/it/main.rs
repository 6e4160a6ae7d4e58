//! The projector with a development ledger, a real PostgreSQL, and blocks built in the tests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod adoption;
mod chain;
mod commands;
mod constants;
mod dead;
mod effects;
mod failing;
mod guards;
mod handmade;
mod lead;
mod newest;
mod order;
#[path = "../../../gx-fabric-client/tests/it/proxy.rs"]
#[expect(dead_code, reason = "its owner uses the rest of it")]
mod proxy;
mod rebuild;
mod reconcile;
mod replay;
mod results;
mod roles;
mod second;
mod silent;
mod snapshot;
mod storm;
mod tasks;
mod together;
mod verify;
mod whole;
mod wrong_peers;
