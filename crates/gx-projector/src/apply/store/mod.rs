//! SQL that applies blocks: each function runs one statement.

pub(crate) mod adoption;
pub(crate) mod checkpoint;
pub(crate) mod dead;
pub(crate) mod freezes;
pub(crate) mod money;
pub(crate) mod people;
pub(crate) mod rows;
pub(crate) mod system;
