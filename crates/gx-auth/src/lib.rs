//! Passwords, tokens, sessions, permission checks and the audit log: what the services share.
//!
//! A service builds one [`Auth`], opens sessions with it after checking a password, and
//! gathers its routes with [`Api`], which puts the check that a route declares around it.

pub mod audit;
mod foundation;
mod gate;
mod hashing;
mod password;
mod role;
mod sessions;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;
mod tokens;

pub use foundation::{Foundation, FoundationError, FoundationSettings, SYSTEM_PAUSED};
pub use gate::{Administrator, Api, Auth, Person};
pub use hashing::{Hasher, HashingSettings, InvalidParameters, Verified};
pub use password::{GivenPassword, NewPassword, PasswordRefusal, Subject};
pub use role::AdminRole;
pub use sessions::{Realm, RefreshRefusal, Sessions, TokenPair};
pub use tokens::{
    Audience, Claims, InvalidToken, Purpose, TokenKeyError, TokenSettings, Tokens, create_key_file,
};
