//! Migrations: embedded in the binary, applied by one runner at a time, resumable (DB-02).
//! [`crate::upgrade`] runs them for `gx db migrate` and `gx dev`; tests and the benchmark call
//! [`migrate`]. A version is either one transaction, which also records it, or a list of steps,
//! each recorded when it is done. Waits for locks are short, because other sessions wait behind a
//! migration (DB-10).

mod error;
mod lock_wait_limits;
pub(crate) mod progress;
mod runner;
mod steps;
pub(crate) mod store;
#[cfg(test)]
mod tests;
mod work;

use sha2::{Digest as _, Sha256};

pub use error::MigrateError;
pub(crate) use lock_wait_limits::LockWaitLimits;
pub use lock_wait_limits::MigrationSettings;
#[cfg(feature = "testing")]
pub(crate) use runner::migrate_without_snapshots;
pub use runner::{MigrationReport, migrate, migrate_to, pending};
pub(crate) use runner::{missing, run};
pub use store::Quarantined;

/// A version of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// 1, 2, 3 and so on without gaps.
    pub version: i32,
    /// Name of its file without the ending, as operators know it.
    pub name: &'static str,
    /// The statements: one transaction, or steps.
    pub sql: &'static str,
    /// The catalogue that it leaves behind, as [`crate::Catalogue`] writes it.
    pub schema: &'static str,
    /// Whether binaries that know only earlier versions work with this one.
    pub additive: bool,
    /// Whether the text is a list of steps, each marked by a line such as `-- step: NAME`.
    pub in_steps: bool,
}

macro_rules! migration {
    ($version:literal, $name:literal, additive: $additive:literal) => {
        migration!($version, $name, additive: $additive, in_steps: false)
    };
    ($version:literal, $name:literal, additive: $additive:literal, in_steps: $in_steps:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../migrations/", $name, ".sql")),
            schema: include_str!(concat!("../../schema/", $name, ".txt")),
            additive: $additive,
            in_steps: $in_steps,
        }
    };
}

/// All migrations of this binary, in order. A test compares the list with the folder.
pub const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_initial", additive: false),
    migration!(2, "0002_biometric_hash_form", additive: true),
    migration!(3, "0003_places", additive: true),
    migration!(4, "0004_places_checked", additive: true, in_steps: true),
    migration!(5, "0005_adoption", additive: true),
    migration!(6, "0006_suspicion", additive: true),
    migration!(7, "0007_judged_attempts", additive: true, in_steps: true),
    migration!(8, "0008_people", additive: true, in_steps: true),
    migration!(9, "0009_audit_batches", additive: true),
    migration!(10, "0010_sign_in", additive: true, in_steps: true),
    migration!(11, "0011_factors", additive: true),
    migration!(12, "0012_keys_and_texts", additive: true),
    migration!(13, "0013_mail", additive: true),
    migration!(14, "0014_passkeys", additive: true),
    migration!(15, "0015_documents", additive: true),
    migration!(16, "0016_review", additive: true, in_steps: true),
];

impl Migration {
    /// Returns the SHA-256 of the text, which the database stores.
    pub fn checksum(&self) -> [u8; 32] {
        Sha256::digest(self.sql.as_bytes()).into()
    }

    /// Returns the migration that creates the schema of this binary.
    pub fn newest() -> &'static Self {
        MIGRATIONS.last().expect("the list is a constant with members")
    }
}
