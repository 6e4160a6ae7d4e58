//! The Fabric User ID: `CC CCC AANNNN TCCCC NNNN`.
