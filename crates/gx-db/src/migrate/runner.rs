//! Applies pending migrations. After an error, everything that was completed stays, and the next
//! run begins with the rest.

use std::collections::BTreeSet;
use std::time::Duration;

use gx_model::{Clock, CountryList};
use rand::RngExt as _;
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use super::error::held_by;
use super::lock_wait_limits::LockWaitLimits;
use super::progress::Progress;
use super::steps::{self, Step};
use super::store::{self, Applied};
use super::work::{Limits, Work};
use super::{MIGRATIONS, MigrateError, Migration, Quarantined};
use crate::catalogue::changed_objects;
use crate::{Catalogue, lock_waits};

/// Longest pause between checks whether another runner is done.
const MAX_RUNNER_PAUSE_MS: u64 = 200;

/// Result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Names of the migrations that this run applied.
    pub applied: Vec<String>,
    /// Values in quarantine after the run, including older ones.
    pub quarantined: Vec<Quarantined>,
    /// Differences between the catalogue and the expected one. If there are any, no pool uses this
    /// database.
    pub differences: Vec<String>,
}

/// Applies every pending migration and updates the countries. May run repeatedly and in several
/// processes at once.
pub async fn migrate(
    conn: &mut PgConnection,
    clock: &Clock,
) -> Result<MigrationReport, MigrateError> {
    run(conn, MIGRATIONS, CountryList::embedded(), clock, &mut LockWaitLimits::default()).await
}

/// Applies migrations up to `version`, to rehearse an upgrade.
pub async fn migrate_to(
    conn: &mut PgConnection,
    version: i32,
    clock: &Clock,
) -> Result<MigrationReport, MigrateError> {
    let until = MIGRATIONS.partition_point(|migration| migration.version <= version);
    let (some, countries) = (&MIGRATIONS[..until], CountryList::embedded());
    run(conn, some, countries, clock, &mut LockWaitLimits::default()).await
}

/// Migrates an empty database up to `version`, whatever the committed snapshots say.
#[cfg(feature = "testing")]
pub(crate) async fn migrate_without_snapshots(
    conn: &mut PgConnection,
    version: i32,
    clock: &Clock,
) -> Result<MigrationReport, MigrateError> {
    let some = MIGRATIONS.iter().filter(|migration| migration.version <= version);
    let some: Vec<Migration> = some.map(|known| Migration { schema: "", ..*known }).collect();
    run(conn, &some, CountryList::embedded(), clock, &mut LockWaitLimits::default()).await
}

/// Returns the names of the migrations that the database lacks.
pub async fn pending(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let applied = store::applied(conn).await?;
    Ok(missing(MIGRATIONS, &applied).map(|migration| migration.name.to_owned()).collect())
}

/// Returns the migrations that are newer than the newest applied one.
pub(crate) fn missing<'a>(
    migrations: &'a [Migration],
    applied: &[Applied],
) -> impl Iterator<Item = &'a Migration> {
    let newest = applied.last().map_or(0, |row| row.version);
    migrations.iter().filter(move |migration| migration.version > newest)
}

/// Runs [`migrate`] with these migrations, countries and limits.
pub(crate) async fn run(
    conn: &mut PgConnection,
    migrations: &[Migration],
    countries: &CountryList,
    clock: &Clock,
    limits: &mut LockWaitLimits,
) -> Result<MigrationReport, MigrateError> {
    lock_migrations(conn, limits).await?;
    let pid = lock_waits::backend_pid(conn).await?;
    let outcome = Runner { conn: &mut *conn, pid, migrations, countries, clock, limits };
    let outcome = outcome.run().await;
    // A connection that cannot unlock is broken, and a broken connection loses its lock.
    let unlocked = store::unlock_migrations(conn).await;
    let report = outcome?;
    unlocked?;
    Ok(report)
}

/// Waits until no other runner works. Returns [`MigrateError::Busy`] after the time limit.
async fn lock_migrations(
    conn: &mut PgConnection,
    limits: &LockWaitLimits,
) -> Result<(), MigrateError> {
    let began = Instant::now();
    let mut said = false;
    while !store::try_lock_migrations(conn).await? {
        if !std::mem::replace(&mut said, true) {
            limits.say("another migration runner is active; waiting until it ends");
        }
        let waited = began.elapsed();
        if waited > Duration::from_millis(limits.max_wait_ms()) {
            let holder = lock_waits::migration_runner(conn).await?;
            return Err(MigrateError::Busy { waited, holder });
        }
        let pause = rand::rng().random_range(1..=MAX_RUNNER_PAUSE_MS);
        sleep(Duration::from_millis(pause)).await;
    }
    Ok(())
}

/// The one active runner.
struct Runner<'a> {
    conn: &'a mut PgConnection,
    /// The server's process of its connection.
    pid: i32,
    migrations: &'a [Migration],
    countries: &'a CountryList,
    clock: &'a Clock,
    limits: &'a mut LockWaitLimits,
}

impl Runner<'_> {
    async fn run(mut self) -> Result<MigrationReport, MigrateError> {
        let applied = store::applied(self.conn).await?;
        let begun = store::progress(self.conn).await?;
        self.reject_foreign_schema(&applied, begun.as_ref()).await?;
        let mut report = MigrationReport::default();
        for migration in missing(self.migrations, &applied) {
            if migration.in_steps {
                self.apply_in_steps(migration).await?;
            } else {
                let (countries, at) = (self.countries, self.clock.now());
                let whole = Work::Whole { migration, countries, at };
                self.retry_work(migration, None, whole).await?;
            }
            tracing::info!(migration = migration.name, "migration {} applied", migration.name);
            report.applied.push(migration.name.to_owned());
        }
        let newest = self.migrations.last().map_or(0, |migration| migration.version);
        let ahead = applied.last().is_some_and(|row| row.version > newest);
        // A newer release has migrated this database, so its countries and catalogue are not
        // compared.
        if ahead {
            return Ok(report);
        }
        if report.applied.is_empty() {
            store::upsert_countries(self.conn, self.countries).await?;
        }
        if newest >= 2 {
            report.quarantined = store::quarantined(self.conn).await?;
        }
        if let Some(last) = self.migrations.last() {
            report.differences = Catalogue::read(self.conn).await?.differences_from(last.schema);
        }
        Ok(report)
    }

    /// Does the remaining steps, then compares the schema with the expected one.
    async fn apply_in_steps(&mut self, migration: &Migration) -> Result<(), MigrateError> {
        let steps = steps::parse(migration.sql).map_err(|source| {
            let name = migration.name.to_owned();
            MigrateError::Unreadable { name, source }
        })?;
        let begun = store::progress(self.conn).await?;
        let done = match begun.filter(|begun| begun.version == migration.version) {
            Some(begun) => begun.finished_steps,
            None => {
                let progress = self.new_progress(migration).await?;
                let begin = Work::Begin { progress: &progress, at: self.clock.now() };
                self.retry_work(migration, None, begin).await?;
                Vec::new()
            }
        };
        for step in steps.iter().filter(|step| !done.iter().any(|done| done == step.name)) {
            self.retry_work(migration, Some(step), Work::Step(step)).await?;
            tracing::info!(
                migration = migration.name,
                step = step.name,
                "step {} of migration {} done",
                step.name,
                migration.name
            );
        }
        let end = Work::End { migration, countries: self.countries, at: self.clock.now() };
        let differences = self.retry_work(migration, None, end).await?;
        if differences.is_empty() {
            return Ok(());
        }
        Err(MigrateError::Unexpected { name: migration.name.to_owned(), differences })
    }

    /// Returns the record that other processes need about a migration that begins.
    async fn new_progress(&mut self, migration: &Migration) -> sqlx::Result<Progress> {
        let before = Catalogue::read(self.conn).await?;
        let touched = changed_objects(&before.to_string(), migration.schema);
        Ok(Progress {
            version: migration.version,
            name: migration.name.to_owned(),
            checksum: migration.checksum().to_vec(),
            is_additive: migration.additive,
            untouched_fingerprint: before.fingerprint_without(&touched).to_vec(),
            touched,
            finished_steps: Vec::new(),
        })
    }

    /// Does a piece of work, repeatedly while other sessions hold its locks, and returns the
    /// differences that it found. Returns [`MigrateError::Blocked`] after the time limit.
    async fn retry_work(
        &mut self,
        migration: &Migration,
        step: Option<&Step<'_>>,
        work: Work<'_>,
    ) -> Result<Vec<String>, MigrateError> {
        let limits = Limits {
            lock_timeout_ms: self.limits.lock_timeout_ms(),
            max_wait_ms: self.limits.max_wait_ms(),
        };
        let mut attempts = self.limits.begin();
        loop {
            let doing = work.run(self.conn, limits);
            let (done, blockers) = self.limits.watched(self.pid, doing).await;
            let error = match done {
                Ok(differences) => return Ok(differences),
                Err(error) if is_lock_conflict(&error) => error,
                Err(source) => return Err(failed(migration, step, source)),
            };
            let step = step.map(|step| step.name);
            let suffix = step.map_or_else(String::new, |step| format!(", step {step}"));
            let (name, held_by) = (format!("{}{suffix}", migration.name), held_by(&blockers));
            tracing::warn!(migration = migration.name, step, error = %error, held_by,
                "migration {name} timed out waiting for locks; it is tried again");
            self.limits.say(&format!("{name} is tried again soon, because {held_by}"));
            if let Err(waited) = self.limits.rest(&mut attempts).await {
                return Err(MigrateError::Blocked { name, waited, blockers });
            }
        }
    }

    /// Returns an error if the schema is not the result of migrations that this binary knows.
    /// Nothing is changed then.
    async fn reject_foreign_schema(
        &mut self,
        applied: &[Applied],
        begun: Option<&Progress>,
    ) -> Result<(), MigrateError> {
        if store::current_schema(self.conn).await?.is_none() {
            return Err(MigrateError::NoSchema);
        }
        let Some(newest) = applied.last() else {
            let objects = store::objects(self.conn).await?;
            if objects.is_empty() {
                return Ok(());
            }
            return Err(MigrateError::Untracked { objects });
        };
        for (row, known) in applied.iter().zip(self.migrations) {
            if row.version != known.version || row.checksum != known.checksum() {
                return Err(MigrateError::Changed(row.name.clone()));
            }
        }
        let known = |version| self.migrations.iter().find(move |known| known.version == version);
        if let Some(begun) = begun {
            match known(begun.version) {
                None => return Err(MigrateError::BegunElsewhere(begun.name.clone())),
                Some(known) if known.checksum()[..] != begun.checksum[..] => {
                    return Err(MigrateError::Changed(begun.name.clone()));
                }
                Some(_) => {}
            }
        }
        let Some(expected) = known(newest.version) else { return Ok(()) };
        if expected.version == self.migrations.last().map_or(0, |last| last.version) {
            // Nothing is pending: the report contains the differences.
            return Ok(());
        }
        let none = BTreeSet::new();
        let left_out = begun.map_or(&none, |begun| &begun.touched);
        let found = Catalogue::read(self.conn).await?;
        let differences = found.differences_except(expected.schema, left_out);
        if differences.is_empty() {
            return Ok(());
        }
        Err(MigrateError::Drifted { name: newest.name.clone(), differences })
    }
}

/// Returns whether a lock timed out or two sessions waited for each other.
fn is_lock_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

fn failed(migration: &Migration, step: Option<&Step<'_>>, source: sqlx::Error) -> MigrateError {
    let name = migration.name.to_owned();
    match step {
        Some(step) => MigrateError::FailedAtStep { name, step: step.name.to_owned(), source },
        None => MigrateError::Failed { name, source },
    }
}
