//! SQL that applies blocks, for the modules of `apply` and `operate`. After an error
//! the caller's transaction, if there is one, must be rolled back.

pub(crate) mod adoption;
pub(crate) mod checkpoint;
pub(crate) mod dead;
pub(crate) mod freezes;
pub(crate) mod money;
pub(crate) mod people;
pub(crate) mod rows;
pub(crate) mod system;
