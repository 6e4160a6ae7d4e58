//! The catalogue of a schema as lines of text, which are hashed, kept as a snapshot under version
//! control, and compared (DB-03). It is read whenever an instance is checked or migrated; `cargo
//! xtask schema` writes the snapshots.

mod revision;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};

pub(crate) use revision::CatalogueRevision;

/// The catalogue of one schema: tables, columns with type and default, constraints, indexes, views,
/// enums, domains, sequences, functions and triggers, one line each.
///
/// Partitions are left out, and so are the copies of a rebuild, which have a schema of their own.
/// Names are relative to the schema, so that the schema's name does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    lines: BTreeSet<String>,
}

impl Catalogue {
    /// Reads the catalogue of the connection's current schema, in a transaction of its own that is
    /// rolled back.
    pub async fn read(conn: &mut PgConnection) -> sqlx::Result<Self> {
        // The settings that change how defaults are printed end with this transaction.
        let mut reading = conn.begin().await?;
        store::print_alike(&mut reading).await?;
        let lines = store::catalogue_lines(&mut reading).await?;
        reading.rollback().await?;
        // An object stays one line even if its literals contain line breaks.
        Ok(Self { lines: lines.iter().map(|line| line.replace('\n', " ")).collect() })
    }

    /// Returns whether the schema has no objects.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns the SHA-256 of the lines.
    pub fn fingerprint(&self) -> [u8; 32] {
        Self::fingerprint_of(&self.to_string())
    }

    /// Returns the fingerprint of a snapshot's text.
    pub fn fingerprint_of(snapshot: &str) -> [u8; 32] {
        Sha256::digest(snapshot.as_bytes()).into()
    }

    /// Returns the fingerprint of all objects except these, as [`changed_objects`] names them.
    pub(crate) fn fingerprint_without(&self, touched: &BTreeSet<String>) -> [u8; 32] {
        let rest = self.lines.iter().filter(|line| !touched.contains(subject(line)));
        Self::fingerprint_of(&rest.map(|line| format!("{line}\n")).collect::<String>())
    }

    /// Returns the differences from a snapshot, one line per object, sorted by name.
    pub fn differences_from(&self, snapshot: &str) -> Vec<String> {
        self.differences_except(snapshot, &BTreeSet::new())
    }

    /// Returns [`Self::differences_from`] without these objects.
    pub(crate) fn differences_except(
        &self,
        snapshot: &str,
        left_out: &BTreeSet<String>,
    ) -> Vec<String> {
        let wanted: BTreeSet<&str> = snapshot.lines().collect();
        let found: BTreeSet<&str> = self.lines.iter().map(String::as_str).collect();
        let mut sides: BTreeMap<&str, Sides<'_>> = BTreeMap::new();
        for line in wanted.difference(&found) {
            sides.entry(subject(line)).or_default().wanted = Some(line);
        }
        for line in found.difference(&wanted) {
            sides.entry(subject(line)).or_default().found = Some(line);
        }
        sides.retain(|subject, _| !left_out.contains(*subject));
        sides.into_iter().map(|(subject, sides)| sides.describe(subject)).collect()
    }
}

/// Returns the objects that differ between two snapshots, each by kind and name.
pub(crate) fn changed_objects(before: &str, after: &str) -> BTreeSet<String> {
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) =
        (before.lines().collect(), after.lines().collect());
    before.symmetric_difference(&after).map(|line| subject(line).to_owned()).collect()
}

impl fmt::Display for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// The lines of both sides about one object.
#[derive(Default)]
struct Sides<'a> {
    wanted: Option<&'a str>,
    found: Option<&'a str>,
}

impl Sides<'_> {
    fn describe(&self, subject: &str) -> String {
        let body = |line: &str| line.get(subject.len() + 2..).unwrap_or_default().to_owned();
        match (self.wanted, self.found) {
            (Some(_), None) => format!("{subject} is missing"),
            (None, Some(_)) => format!("{subject} is not known"),
            (Some(wanted), Some(found)) => {
                format!("{subject} is `{}` instead of `{}`", body(found), body(wanted))
            }
            (None, None) => String::new(),
        }
    }
}

/// Returns the part of a line that names the object.
fn subject(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(subject, _)| subject)
}
