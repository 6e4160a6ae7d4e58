//! SQL of the benchmarks. Identifiers that are put into texts are constants of this crate.

pub(crate) mod commands;
pub(crate) mod databases;
pub(crate) mod people;
pub(crate) mod rows;
