//! SQL of the benchmarks, called by the rows and their processes. Identifiers that are inserted
//! into SQL texts are constants of this crate.

pub(crate) mod commands;
pub(crate) mod databases;
pub(crate) mod people;
pub(crate) mod rows;
