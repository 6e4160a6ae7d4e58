//! Applies what is pending.

use gx_model::{Clock, CountryList};
use sqlx::{Connection as _, PgConnection};

use super::store::{self, Applied};
use super::{MIGRATIONS, Migration, Quarantined};
use crate::Catalogue;

/// What a run did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Names of the migrations applied by this run.
    pub applied: Vec<String>,
    /// Values in quarantine after the run, older ones included.
    pub quarantined: Vec<Quarantined>,
    /// How the catalogue differs from what this binary expects. Not empty means that no pool
    /// will use this database.
    pub differences: Vec<String>,
}

/// Why a run ended without doing all. What it had not finished left no trace.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Objects that no migration made, and no record of migrations.
    #[error(
        "the schema is not empty and no migration was recorded there, so nothing was changed; use an empty database, or remove: {}",
        objects.join(", ")
    )]
    Untracked {
        /// Each by kind and name.
        objects: Vec<String>,
    },
    /// The first schema of the search path does not exist.
    #[error(
        "the schema that the connection names does not exist: create it, or correct `?schema=`"
    )]
    NoSchema,
    /// An applied migration is not the one this binary has under its number.
    #[error(
        "migration {0} was applied with another text than this binary has: use the release that applied it"
    )]
    Changed(String),
    /// The catalogue is not what the migrations so far leave behind.
    #[error(
        "the schema is not what {name} left behind, so nothing was changed; first undo: {}",
        differences.join("; ")
    )]
    Drifted {
        /// The newest migration applied.
        name: String,
        /// What differs.
        differences: Vec<String>,
    },
    /// A migration failed and was undone.
    #[error("migration {name} failed and was undone: {source}")]
    Failed {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The database could not be asked.
    #[error("the database failed before or between migrations")]
    Database(#[from] sqlx::Error),
}

/// Applies every pending migration and brings the countries up to date. Safe to run any
/// number of times, by any number of runners at once.
pub async fn migrate(
    conn: &mut PgConnection,
    clock: &Clock,
) -> Result<MigrationReport, MigrateError> {
    run(conn, MIGRATIONS, CountryList::embedded(), clock).await
}

/// Like [`migrate`], stopping after `version`: for rehearsing an upgrade.
pub async fn migrate_to(
    conn: &mut PgConnection,
    version: i32,
    clock: &Clock,
) -> Result<MigrationReport, MigrateError> {
    let until = MIGRATIONS.partition_point(|migration| migration.version <= version);
    run(conn, &MIGRATIONS[..until], CountryList::embedded(), clock).await
}

/// Names of the migrations that this binary has and the database has not.
pub async fn pending(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let applied = store::applied(conn).await?;
    Ok(missing(MIGRATIONS, &applied).map(|migration| migration.name.to_owned()).collect())
}

pub(crate) fn missing<'a>(
    migrations: &'a [Migration],
    applied: &[Applied],
) -> impl Iterator<Item = &'a Migration> {
    let newest = applied.last().map_or(0, |row| row.version);
    migrations.iter().filter(move |migration| migration.version > newest)
}

/// [`migrate`] with the migrations and countries given.
pub(super) async fn run(
    conn: &mut PgConnection,
    migrations: &[Migration],
    countries: &CountryList,
    clock: &Clock,
) -> Result<MigrationReport, MigrateError> {
    store::lock_migrations(conn).await?;
    let outcome = run_locked(conn, migrations, countries, clock).await;
    // A connection that cannot unlock is broken, and loses its lock by that.
    let unlocked = store::unlock_migrations(conn).await;
    let report = outcome?;
    unlocked?;
    Ok(report)
}

async fn run_locked(
    conn: &mut PgConnection,
    migrations: &[Migration],
    countries: &CountryList,
    clock: &Clock,
) -> Result<MigrationReport, MigrateError> {
    let applied = store::applied(conn).await?;
    refuse_a_foreign_schema(conn, migrations, &applied).await?;
    let mut report = MigrationReport::default();
    for migration in missing(migrations, &applied) {
        apply(conn, migration, countries, clock)
            .await
            .map_err(|source| MigrateError::Failed { name: migration.name.to_owned(), source })?;
        tracing::info!(migration = migration.name, "migration applied");
        report.applied.push(migration.name.to_owned());
    }
    let newest = migrations.last().map_or(0, |migration| migration.version);
    let ahead = applied.last().is_some_and(|row| row.version > newest);
    // A newer release has been here: its countries and catalogue are not ours to judge.
    if ahead {
        return Ok(report);
    }
    if report.applied.is_empty() {
        store::upsert_countries(conn, countries).await?;
    }
    if newest >= 2 {
        report.quarantined = store::quarantined(conn).await?;
    }
    if let Some(last) = migrations.last() {
        report.differences = Catalogue::read(conn).await?.differences_from(last.schema);
    }
    Ok(report)
}

/// One migration, the countries and the record of it: all or nothing.
async fn apply(
    conn: &mut PgConnection,
    migration: &Migration,
    countries: &CountryList,
    clock: &Clock,
) -> sqlx::Result<()> {
    let mut transaction = conn.begin().await?;
    sqlx::raw_sql(migration.sql).execute(&mut *transaction).await?;
    store::upsert_countries(&mut transaction, countries).await?;
    let row = Applied {
        version: migration.version,
        name: migration.name.to_owned(),
        checksum: migration.checksum().to_vec(),
        fingerprint: Catalogue::fingerprint_of(migration.schema).to_vec(),
        is_additive: migration.additive,
    };
    store::insert_applied(&mut transaction, &row, clock.now()).await?;
    transaction.commit().await
}

async fn refuse_a_foreign_schema(
    conn: &mut PgConnection,
    migrations: &[Migration],
    applied: &[Applied],
) -> Result<(), MigrateError> {
    if store::current_schema(conn).await?.is_none() {
        return Err(MigrateError::NoSchema);
    }
    let Some(newest) = applied.last() else {
        let objects = store::objects(conn).await?;
        if objects.is_empty() {
            return Ok(());
        }
        return Err(MigrateError::Untracked { objects });
    };
    for (row, known) in applied.iter().zip(migrations) {
        if row.version != known.version || row.checksum != known.checksum() {
            return Err(MigrateError::Changed(row.name.clone()));
        }
    }
    let Some(expected) = migrations.iter().find(|known| known.version == newest.version) else {
        return Ok(());
    };
    if expected.version == migrations.last().map_or(0, |last| last.version) {
        // Nothing is pending: differences are reported at the end, not refused.
        return Ok(());
    }
    let differences = Catalogue::read(conn).await?.differences_from(expected.schema);
    if differences.is_empty() {
        return Ok(());
    }
    Err(MigrateError::Drifted { name: newest.name.clone(), differences })
}
