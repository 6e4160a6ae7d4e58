//! The `gx` binary.
fn main() {}
