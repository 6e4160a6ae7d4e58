//! The client against the development ledger over the wire, and against a scripted peer
//! where a chain must be wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

mod calls;
mod connect;
mod contracts;
mod follow;
mod preflight;
mod proxy;
mod scripted;
mod world;
