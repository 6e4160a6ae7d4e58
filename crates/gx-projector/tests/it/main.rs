//! The projector against a development ledger, a real PostgreSQL, and blocks made by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod chain;
mod commands;
mod constants;
mod dead;
mod effects;
mod failing;
mod handmade;
mod lead;
mod order;
#[path = "../../../gx-fabric-client/tests/it/proxy.rs"]
#[allow(dead_code, reason = "its owner uses the rest of it")]
mod proxy;
mod rebuild;
mod reconcile;
mod replay;
mod results;
mod roles;
mod second;
mod snapshot;
mod together;
mod verify;
mod whole;
