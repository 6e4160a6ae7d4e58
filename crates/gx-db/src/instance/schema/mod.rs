//! Compares a database's schema with the schema of this binary (DB-03, RDY-04). [`super::prove`]
//! refuses an instance whose schema is not [`SchemaState::Current`]; `gx db check` reports the
//! state.

use std::fmt;

use sqlx::PgConnection;

use crate::Catalogue;
use crate::catalogue::CatalogueRevision;
use crate::migrate::progress::Progress;
use crate::migrate::store::Applied;
use crate::migrate::{MIGRATIONS, Migration, missing, store};

/// Relation of a database's schema to the schema of this binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// The schema of this binary, or a newer one to which all versions in between only add.
    Current,
    /// The schema has no objects.
    Empty,
    /// An older schema: names of the migrations to apply.
    Pending(Vec<String>),
    /// Another schema: the differences, each with its object.
    Different(Vec<String>),
}

impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("ok"),
            Self::Empty => f.write_str("the database is empty; run `gx db migrate`"),
            Self::Pending(names) => {
                write!(f, "migrations are pending: {}; run `gx db migrate`", names.join(", "))
            }
            Self::Different(lines) => f.write_str(&lines.join("; ")),
        }
    }
}

/// Everything on which the state of a schema depends. As long as it is the same, the state is the
/// same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SchemaRevision {
    catalogue: CatalogueRevision,
    applied: Vec<Applied>,
    /// A migration in steps that is not finished.
    progress: Option<Progress>,
}

impl SchemaRevision {
    /// Reads the revision of the connection's current schema. Read it before the state: a change
    /// between the two then gives another revision next time.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails.
    pub(crate) async fn read(conn: &mut PgConnection) -> sqlx::Result<Self> {
        let catalogue = CatalogueRevision::read(conn).await?;
        let applied = store::applied(conn).await?;
        Ok(Self { catalogue, applied, progress: store::progress(conn).await? })
    }
}

/// Returns the state of the connection's current schema.
pub(crate) async fn schema_state(conn: &mut PgConnection) -> sqlx::Result<SchemaState> {
    schema_state_for(conn, MIGRATIONS).await
}

/// Returns [`schema_state`] for a binary with these migrations.
pub(crate) async fn schema_state_for(
    conn: &mut PgConnection,
    migrations: &[Migration],
) -> sqlx::Result<SchemaState> {
    look(conn, migrations).await.map(|(state, _)| state)
}

/// Returns [`schema_state_for`] with the catalogue's fingerprint, which is zero if the catalogue
/// was not needed.
pub(super) async fn look(
    conn: &mut PgConnection,
    migrations: &[Migration],
) -> sqlx::Result<(SchemaState, [u8; 32])> {
    let unread = [0; 32];
    let applied = store::applied(conn).await?;
    let Some(newest) = applied.last() else {
        let objects = store::objects(conn).await?;
        if objects.is_empty() {
            return Ok((SchemaState::Empty, unread));
        }
        let lines =
            objects.into_iter().map(|object| format!("{object} was created by no migration"));
        return Ok((SchemaState::Different(lines.collect()), unread));
    };
    let pending: Vec<String> =
        missing(migrations, &applied).map(|migration| migration.name.to_owned()).collect();
    if !pending.is_empty() {
        return Ok((SchemaState::Pending(pending), unread));
    }
    let Some(own) = migrations.last() else { return Ok((SchemaState::Empty, unread)) };
    let catalogue = Catalogue::read(conn).await?;
    let fingerprint = catalogue.fingerprint();
    let differences = if newest.version == own.version {
        catalogue.differences_from(own.schema)
    } else {
        differences_from_newer(&catalogue, own, &applied)
    };
    if !differences.is_empty() && is_on_the_way(conn, &catalogue, &applied, own).await? {
        return Ok((SchemaState::Current, fingerprint));
    }
    let state = match differences.is_empty() {
        true => SchemaState::Current,
        false => SchemaState::Different(differences),
    };
    Ok((state, fingerprint))
}

/// Returns whether the schema is an intermediate state of an additive migration in steps of a newer
/// release.
async fn is_on_the_way(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    applied: &[Applied],
    own: &Migration,
) -> sqlx::Result<bool> {
    let all_add = applied.iter().filter(|row| row.version > own.version).all(|row| row.is_additive);
    let begun = store::progress(conn).await?;
    Ok(all_add && begun.is_some_and(|begun| begun.is_additive && begun.allows(catalogue)))
}

/// Returns the differences of a newer schema: none if all later versions only add and the schema is
/// exactly the result of the newest of them.
fn differences_from_newer(
    catalogue: &Catalogue,
    own: &Migration,
    applied: &[Applied],
) -> Vec<String> {
    let later = || applied.iter().filter(|row| row.version > own.version);
    if let Some(Applied { version, name, .. }) = later().find(|row| !row.is_additive) {
        return vec![format!(
            "the schema has version {version} ({name}), which does more than add; this binary needs {} ({}); use a newer release",
            own.version, own.name
        )];
    }
    let newest =
        later().next_back().filter(|row| row.fingerprint[..] == catalogue.fingerprint()[..]);
    if newest.is_some() {
        return Vec::new();
    }
    let name = later().next_back().map_or(own.name, |row| &row.name);
    vec![format!(
        "the schema differs from what migration {name} leaves behind; run `gx db check` of the release that has it"
    )]
}

#[cfg(test)]
mod tests;
