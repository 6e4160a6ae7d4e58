//! SQL of the submitter alone: each function runs one statement.

pub(crate) mod archive;
pub(crate) mod due;
pub(crate) mod lanes;
pub(crate) mod tries;
