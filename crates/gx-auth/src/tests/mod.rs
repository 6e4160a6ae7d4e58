//! Passwords, hashes and tokens.

mod emails;
mod hashes;
mod passwords;
mod tokens;
