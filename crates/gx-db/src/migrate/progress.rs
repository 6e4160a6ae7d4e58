//! Progress of a migration in steps. The runner writes it and, when it resumes, carries out the
//! steps that are missing in it.
//!
//! Processes work while a newer release migrates: `instance::schema` accepts a schema that is an
//! intermediate state of the migration, and otherwise refuses the database with the differences.

use std::collections::BTreeSet;

use crate::Catalogue;

/// A migration that was begun and is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) version: i32,
    pub(crate) name: String,
    pub(crate) checksum: Vec<u8>,
    pub(crate) is_additive: bool,
    /// The objects that it changes. Until it is finished, they are not compared.
    pub(crate) touched: BTreeSet<String>,
    /// Fingerprint of all other objects, which must not change.
    pub(crate) untouched_fingerprint: Vec<u8>,
    /// Names of the finished steps.
    pub(crate) finished_steps: Vec<String>,
}

impl Progress {
    /// Returns whether a catalogue is an intermediate state of this migration.
    pub(crate) fn allows(&self, catalogue: &Catalogue) -> bool {
        catalogue.fingerprint_without(&self.touched)[..] == self.untouched_fingerprint[..]
    }
}
