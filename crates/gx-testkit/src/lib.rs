//! A [`World`] for tests: a database, a development ledger, all services and both workers in one
//! process, and functions for what people and administrators do. Called by the tests of this crate
//! and of `gx`, and by the simulation. What does not go as expected panics and fails the test.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests use this crate; a panic is a failed test"
)]

mod backup;
mod eventually;
pub mod http;
pub mod parts;
mod redis;
mod rows;
mod smtp;
pub mod story;
mod world;

pub use eventually::eventually;
pub use parts::{ADMIN_EMAIL, ADMIN_PASSWORD};
pub use redis::RedisServer;
pub use smtp::{ReceivedMail, SmtpEncryption, SmtpPlan, SmtpServer};
pub use world::World;
