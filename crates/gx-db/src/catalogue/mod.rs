//! What a schema consists of, as lines of text: to hash it, to keep a snapshot under version
//! control, and to name what differs (DB-03).

mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};

/// The catalogue of one schema: tables, columns with type and default, constraints, indexes,
/// views, enums, domains, sequences, functions and triggers, each one line.
///
/// Partitions are left out, and so is what a rebuild works on: its copies lie in a schema of
/// their own. Names are relative to the schema, so that any schema's name gives the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    lines: BTreeSet<String>,
}

impl Catalogue {
    /// Reads the catalogue of the connection's current schema.
    pub async fn read(conn: &mut PgConnection) -> sqlx::Result<Self> {
        // The settings that change how defaults are printed hold for this reading only.
        let mut reading = conn.begin().await?;
        store::print_alike(&mut reading).await?;
        let lines = store::catalogue_lines(&mut reading).await?;
        reading.rollback().await?;
        // One object stays one line, whatever its literals contain.
        Ok(Self { lines: lines.iter().map(|line| line.replace('\n', " ")).collect() })
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// SHA-256 over the lines.
    pub fn fingerprint(&self) -> [u8; 32] {
        Self::fingerprint_of(&self.to_string())
    }

    /// The fingerprint of a snapshot's text.
    pub fn fingerprint_of(snapshot: &str) -> [u8; 32] {
        Sha256::digest(snapshot.as_bytes()).into()
    }

    /// How this catalogue differs from a snapshot, one line a difference, each naming the
    /// object, by name.
    pub fn differences_from(&self, snapshot: &str) -> Vec<String> {
        let wanted: BTreeSet<&str> = snapshot.lines().collect();
        let found: BTreeSet<&str> = self.lines.iter().map(String::as_str).collect();
        let mut sides: BTreeMap<&str, Sides<'_>> = BTreeMap::new();
        for line in wanted.difference(&found) {
            sides.entry(subject(line)).or_default().wanted = Some(line);
        }
        for line in found.difference(&wanted) {
            sides.entry(subject(line)).or_default().found = Some(line);
        }
        sides.into_iter().map(|(subject, sides)| sides.describe(subject)).collect()
    }
}

impl fmt::Display for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// What both sides say about one object.
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

/// The part of a line that says which object it is about.
fn subject(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(subject, _)| subject)
}
