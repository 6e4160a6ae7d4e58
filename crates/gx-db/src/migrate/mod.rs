//! Migrations: embedded, each in one transaction with the record that it was applied, one
//! runner at a time, resumable (DB-02).

mod runner;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use sha2::{Digest as _, Sha256};

pub(crate) use runner::missing;
pub use runner::{MigrateError, MigrationReport, migrate, migrate_to, pending};
pub use store::Quarantined;

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// 1, 2, 3 and so on without a gap.
    pub version: i32,
    /// Its file's name without the ending, by which operators know it.
    pub name: &'static str,
    /// What it does. Runs inside a transaction.
    pub sql: &'static str,
    /// The catalogue that it leaves behind, as [`crate::Catalogue`] writes it.
    pub schema: &'static str,
    /// Whether binaries that know only the version before work on this one.
    pub additive: bool,
}

macro_rules! migration {
    ($version:literal, $name:literal, additive: $additive:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../migrations/", $name, ".sql")),
            schema: include_str!(concat!("../../schema/", $name, ".txt")),
            additive: $additive,
        }
    };
}

/// Every migration this binary knows, in order. A test compares the list with the folder.
pub const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_initial", additive: false),
    migration!(2, "0002_biometric_hash_form", additive: true),
];

impl Migration {
    /// SHA-256 of the text, kept in the database.
    pub fn checksum(&self) -> [u8; 32] {
        Sha256::digest(self.sql.as_bytes()).into()
    }

    /// The migration that makes the schema this binary was built for.
    pub fn newest() -> &'static Self {
        MIGRATIONS.last().expect("the list is a constant with members")
    }
}
