//! SQL that several callers share: each function runs one statement.

pub(crate) mod commands;
pub(crate) mod held;
