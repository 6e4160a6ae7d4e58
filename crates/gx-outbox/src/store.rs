//! SQL of the outbox, one function a statement, nothing else.

pub(crate) mod archive;
pub(crate) mod attempts;
pub(crate) mod commands;
pub(crate) mod lanes;
pub(crate) mod look;
pub(crate) mod operators;
pub(crate) mod settlement;
pub(crate) mod tasks;
pub(crate) mod tip;
pub(crate) mod tries;
pub(crate) mod verification;
