//! Tests of the client with the development ledger over the wire, and with a scripted peer for
//! wrong chains.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

mod calls;
mod connect;
mod contracts;
mod creators;
mod follow;
mod preflight;
mod proxy;
mod scripted;
mod world;
mod wrong;
