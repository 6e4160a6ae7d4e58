//! Pieces of work of a run, which [`super::runner`] does one after the other. Each is done
//! completely, or can be tried again.

use gx_model::CountryList;
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;

use super::Migration;
use super::progress::Progress;
use super::steps::{Step, StepKind};
use super::store::{self, Applied};
use crate::Catalogue;

/// A piece of work.
#[derive(Clone, Copy)]
pub(super) enum Work<'a> {
    /// A migration in one transaction.
    Whole { migration: &'a Migration, countries: &'a CountryList, at: OffsetDateTime },
    /// Records that a migration in steps begins.
    Begin { progress: &'a Progress, at: OffsetDateTime },
    /// A step of a migration.
    Step(&'a Step<'a>),
    /// Compares the schema with the expected one, and records that the migration was applied.
    End { migration: &'a Migration, countries: &'a CountryList, at: OffsetDateTime },
}

/// Limits of the waits for locks, in milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// For statements that block other sessions.
    pub(super) lock_timeout_ms: u64,
    /// For statements that block no other session.
    pub(super) max_wait_ms: u64,
}

impl Work<'_> {
    /// Does the work and returns the differences between the schema and the expected one: only
    /// [`Work::End`] looks for them, and does nothing if there are some.
    pub(super) async fn run(
        self,
        conn: &mut PgConnection,
        limits: Limits,
    ) -> sqlx::Result<Vec<String>> {
        if let Work::Step(step @ Step { kind: StepKind::Index, .. }) = self {
            create_index(conn, step, limits).await?;
            return Ok(Vec::new());
        }
        if let Work::Step(step @ Step { kind: StepKind::Batches, .. }) = self {
            while batch(conn, step, limits).await? > 0 {}
        }
        let mut tx = conn.begin().await?;
        store::limit_lock_wait(&mut tx, limits.lock_timeout_ms, true).await?;
        match self {
            Work::Whole { migration, countries, at } => {
                sqlx::raw_sql(migration.sql).execute(&mut *tx).await?;
                record(&mut tx, migration, countries, at).await?;
            }
            Work::Begin { progress, at } => {
                store::make_progress_table(&mut tx).await?;
                store::insert_progress(&mut tx, progress, at).await?;
            }
            Work::Step(step) => {
                if step.kind == StepKind::Transaction {
                    let sql = sqlx::AssertSqlSafe(step.sql.to_owned());
                    sqlx::raw_sql(sql).execute(&mut *tx).await?;
                }
                store::step_done(&mut tx, step.name).await?;
            }
            Work::End { migration, countries, at } => {
                let differences = unexpected(&mut tx, migration).await?;
                if !differences.is_empty() {
                    tx.rollback().await?;
                    return Ok(differences);
                }
                record(&mut tx, migration, countries, at).await?;
                store::delete_progress(&mut tx).await?;
            }
        }
        tx.commit().await?;
        Ok(Vec::new())
    }
}

/// Creates an index without blocking users of the table, replacing an unfinished one. Its wait for
/// locks blocks no reader or writer, so it may be long.
async fn create_index(
    conn: &mut PgConnection,
    step: &Step<'_>,
    limits: Limits,
) -> sqlx::Result<()> {
    store::limit_lock_wait(conn, limits.max_wait_ms, false).await?;
    if store::index_is_valid(conn, step.name).await? == Some(false) {
        store::drop_index(conn, step.name).await?;
    }
    let sql = sqlx::AssertSqlSafe(step.sql.to_owned());
    sqlx::raw_sql(sql).execute(&mut *conn).await?;
    store::limit_lock_wait(conn, 0, false).await?;
    store::step_done(conn, step.name).await
}

/// Changes some rows and returns their number.
async fn batch(conn: &mut PgConnection, step: &Step<'_>, limits: Limits) -> sqlx::Result<u64> {
    let mut tx = conn.begin().await?;
    store::limit_lock_wait(&mut tx, limits.lock_timeout_ms, true).await?;
    let sql = sqlx::AssertSqlSafe(step.sql.to_owned());
    let changed = sqlx::raw_sql(sql).execute(&mut *tx).await?.rows_affected();
    tx.commit().await?;
    Ok(changed)
}

/// Returns the differences between the schema and the snapshot of the migration. A migration in
/// development has no snapshot until `cargo xtask schema --write` has run.
async fn unexpected(conn: &mut PgConnection, migration: &Migration) -> sqlx::Result<Vec<String>> {
    if migration.schema.is_empty() {
        return Ok(Vec::new());
    }
    Ok(Catalogue::read(conn).await?.differences_from(migration.schema))
}

/// Records that a migration was applied, and updates the countries.
async fn record(
    conn: &mut PgConnection,
    migration: &Migration,
    countries: &CountryList,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    store::upsert_countries(conn, countries).await?;
    let row = Applied {
        version: migration.version,
        name: migration.name.to_owned(),
        checksum: migration.checksum().to_vec(),
        fingerprint: Catalogue::fingerprint_of(migration.schema).to_vec(),
        is_additive: migration.additive,
    };
    store::insert_applied(conn, &row, at).await
}
