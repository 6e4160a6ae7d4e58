//! Passwords, hashes and tokens.

mod hashes;
mod passwords;
mod tokens;
