//! Progress of a migration in steps, as the database stores it. The runner writes it; checks of an
//! instance read it, because processes work while the steps are done.

use std::collections::BTreeSet;

use crate::Catalogue;

/// A migration that was begun and is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) version: i32,
    pub(crate) name: String,
    pub(crate) checksum: Vec<u8>,
    pub(crate) is_additive: bool,
    /// The objects that it changes. Each may have any state meanwhile.
    pub(crate) touched: BTreeSet<String>,
    /// Fingerprint of all other objects, which must not change.
    pub(crate) rest: Vec<u8>,
    /// Names of the finished steps.
    pub(crate) done: Vec<String>,
}

impl Progress {
    /// Returns whether a catalogue is an intermediate state of this migration.
    pub(crate) fn explains(&self, catalogue: &Catalogue) -> bool {
        catalogue.fingerprint_without(&self.touched)[..] == self.rest[..]
    }
}
