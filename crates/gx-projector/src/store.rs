//! SQL of the projector, one function a statement, nothing else.

pub(crate) mod checkpoint;
pub(crate) mod compare;
pub(crate) mod dead;
pub(crate) mod money;
pub(crate) mod people;
pub(crate) mod rebuild;
pub(crate) mod rows;
pub(crate) mod system;
pub(crate) mod verify;
