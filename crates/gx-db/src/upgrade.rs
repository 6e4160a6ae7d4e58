//! Migrates the database that the settings name, for `gx db migrate` and `gx dev`.

use gx_model::{Clock, CountryList};

use crate::migrate::{LockWaitLimits, MIGRATIONS, MigrateError, MigrationReport, run};
use crate::{DatabaseSettings, database};

/// Applies every pending migration to the writer of the configured instances. `say` receives
/// messages about waits and blocking sessions.
///
/// # Errors
/// [`MigrateError`] if the database cannot be reached or a migration fails; the next run continues.
pub async fn upgrade(
    settings: &DatabaseSettings,
    clock: &Clock,
    say: fn(&str),
) -> Result<MigrationReport, MigrateError> {
    let unusable = |error| MigrateError::Unusable(Box::new(error));
    let mut conn = database::connect_for_migration(settings).await.map_err(unusable)?;
    let watcher = database::open_writer(settings, "migration watcher").await.map_err(unusable)?;
    let mut limits = LockWaitLimits::new(settings.migration, Some(watcher)).saying(say);
    run(&mut conn, MIGRATIONS, CountryList::embedded(), clock, &mut limits).await
}
