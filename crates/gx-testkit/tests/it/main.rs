//! Tests of the whole of GX: services, workers, database and ledger together.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod exactly_once;
mod fees;
mod first;
mod following;
mod freezes;
mod frozen;
mod giving_up;
mod limits;
mod mail;
mod money;
mod operators;
mod outage;
mod overdraft;
mod pause;
mod prerequisites;
mod privacy;
mod restore;
