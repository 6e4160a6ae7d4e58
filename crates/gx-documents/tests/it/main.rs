//! Documents from upload to erasure, with a database, a folder and child processes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod confinement;
mod erasure;
mod inventory;
mod killed;
mod mutations;
mod pages;
mod requests;
mod retention;
mod scanner;
mod uploads;
mod world;
