//! Tests of the chaincode service from a peer's side.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod package;
mod peer;
mod service;
mod streams;
mod tls;
mod transactions;
