//! `gx` as its users run it: real processes, real PostgreSQL, real sockets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod chaincode;
mod disk;
mod erasure;
mod flood;
mod journey;
mod keys;
mod kill;
mod ledger;
mod limits;
mod mail;
mod network;
mod operator;
mod people;
mod pipes;
mod poolers;
mod readme;
mod refusals;
mod replicas;
mod role;
mod roles;
mod stack;
mod uploads;
