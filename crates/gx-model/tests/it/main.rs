//! Tests of the shared model through its public API.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod commands;
mod countries;
mod economy;
mod events;
mod fabric_ids;
mod money;
mod statuses;
