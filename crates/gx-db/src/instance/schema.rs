//! Whether a database has the schema that this binary works on (DB-03, RDY-04).

use sqlx::PgConnection;

use crate::migrate::{MIGRATIONS, Migration, missing, store};
use crate::{Catalogue, migrate::store::Applied};

/// How a database's schema stands to this binary's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// It is this binary's, or the next one and that only adds to it.
    Current,
    /// There is nothing at all.
    Empty,
    /// It is older: the names of the migrations to apply.
    Pending(Vec<String>),
    /// It is another one: what differs, each by name.
    Different(Vec<String>),
}

/// Looks at the connection's current schema.
pub(crate) async fn schema_state(conn: &mut PgConnection) -> sqlx::Result<SchemaState> {
    schema_state_for(conn, MIGRATIONS).await
}

/// [`schema_state`] of a binary with these migrations.
async fn schema_state_for(
    conn: &mut PgConnection,
    migrations: &[Migration],
) -> sqlx::Result<SchemaState> {
    let applied = store::applied(conn).await?;
    let Some(newest) = applied.last() else {
        let objects = store::objects(conn).await?;
        if objects.is_empty() {
            return Ok(SchemaState::Empty);
        }
        let lines = objects.into_iter().map(|object| format!("{object} was made by no migration"));
        return Ok(SchemaState::Different(lines.collect()));
    };
    let pending: Vec<String> =
        missing(migrations, &applied).map(|migration| migration.name.to_owned()).collect();
    if !pending.is_empty() {
        return Ok(SchemaState::Pending(pending));
    }
    let Some(own) = migrations.last() else { return Ok(SchemaState::Empty) };
    let catalogue = Catalogue::read(conn).await?;
    let differences = if newest.version == own.version {
        catalogue.differences_from(own.schema)
    } else {
        differences_from_newer(&catalogue, own, newest)
    };
    Ok(match differences.is_empty() {
        true => SchemaState::Current,
        false => SchemaState::Different(differences),
    })
}

/// A newer schema does where it is the very next, only adds, and is what its migration left.
fn differences_from_newer(catalogue: &Catalogue, own: &Migration, newest: &Applied) -> Vec<String> {
    let Applied { version, name, .. } = newest;
    if *version != own.version + 1 || !newest.is_additive {
        return vec![format!(
            "the schema is version {version} ({name}); this binary works on {} ({}): use a newer release",
            own.version, own.name
        )];
    }
    if catalogue.fingerprint()[..] == newest.fingerprint[..] {
        return Vec::new();
    }
    vec![format!(
        "the schema is not what migration {name} left behind: ask the release that has it"
    )]
}

#[cfg(test)]
mod tests;
