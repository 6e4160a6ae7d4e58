//! The projector against a development ledger, a real PostgreSQL, and blocks made by hand.

mod chain;
mod crash;
mod dead;
mod effects;
mod handmade;
mod lead;
mod order;
mod replay;
