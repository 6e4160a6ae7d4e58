//! A World for tests: database, development ledger and all services, with a vocabulary for
//! stories.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests use this crate; a panic is a failed test"
)]

mod eventually;
pub mod http;
pub mod parts;
pub mod story;
mod world;

pub use eventually::eventually;
pub use world::{ADMIN_EMAIL, ADMIN_PASSWORD, World};
