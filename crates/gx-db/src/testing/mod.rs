//! A real PostgreSQL for tests: one server for all test processes of a target folder, and one
//! database for each test, cloned from a migrated template.
//!
//! The first process that needs the server starts it. It stops when the last process has ended,
//! even if that was killed. All functions panic instead of returning errors.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without its database has failed")]

mod janitor;
mod leash;
mod own;
pub mod pgbouncer;
mod shared;
mod volume;

use std::time::Duration;

use gx_model::Clock;
use secrecy::SecretString;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tempfile::TempDir;

pub use leash::Leash;
pub use own::TestServer;
pub use volume::Volume;

use crate::cluster::Owner;
use crate::migrate::migrate_without_snapshots;
use crate::{Catalogue, DatabaseSettings, MigrateError, Migration};
use shared::SharedServer;

/// Limit for a connection, in milliseconds.
const CONNECT_TIMEOUT_MS: u64 = 60_000;
/// Limit of the connections in the pool of one test.
const POOL_SIZE: u32 = 10;
/// Prefix of the names of tests' databases, by which remaining ones are found.
const PREFIX: &str = "gx_test_";

/// The database of one test. It is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    pool: PgPool,
}

impl TestDatabase {
    /// Creates a database with the newest schema and the countries.
    pub async fn create() -> Self {
        let server = SharedServer::get().await;
        Self::cloned_from(server, &server.template().await).await
    }

    /// Creates an empty database.
    pub async fn empty() -> Self {
        Self::cloned_from(SharedServer::get().await, "template0").await
    }

    async fn cloned_from(server: &SharedServer, template: &str) -> Self {
        let name = format!("{PREFIX}{}", hex::encode(rand::random::<[u8; 10]>()));
        server.create_database(&name, template).await;
        let url = server.url_of(&name);
        let pool = PgPoolOptions::new()
            .max_connections(POOL_SIZE)
            .acquire_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
            .after_release(|conn, _| Box::pin(crate::database::readmit(conn)))
            .connect_lazy(&url)
            .expect("the URL was made here");
        Self { name, url, pool }
    }

    /// Returns a pool without the checks of [`crate::Database`], to inspect the database.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Opens a connection that does not belong to the pool.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Returns the URL with the password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns settings for this database.
    pub fn settings(&self) -> DatabaseSettings {
        let mut settings = DatabaseSettings::from_url(SecretString::from(self.url.clone()));
        // On a busy machine answers are late, which is not a failure.
        settings.database_connect_timeout_ms = CONNECT_TIMEOUT_MS;
        settings.database_acquire_timeout_ms = CONNECT_TIMEOUT_MS;
        settings
    }
}

/// Returns the catalogue that a migration leaves behind in a new database, whatever the committed
/// snapshots say.
///
/// # Errors
/// [`MigrateError`] if a migration fails.
pub async fn catalogue_after(migration: &Migration) -> Result<Catalogue, MigrateError> {
    let database = TestDatabase::empty().await;
    let mut conn = database.connection().await;
    migrate_without_snapshots(&mut conn, migration.version, &Clock::system()).await?;
    Ok(Catalogue::read(&mut conn).await?)
}

/// Applies a fictitious migration of a newer release that only adds.
pub async fn apply_future_migration(conn: &mut PgConnection, sql: &'static str) {
    let mut tx = conn.begin().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
    let fingerprint = Catalogue::read(&mut tx).await.unwrap().fingerprint();
    let record = r#"INSERT INTO "SchemaVersion"
                    SELECT max(version) + 1, 'future', '\x00', $1, true, now() FROM "SchemaVersion""#;
    sqlx::query(record).bind(&fingerprint[..]).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// Sets the limits of sessions in the database, which GX cannot set behind a pooler.
pub async fn limit_sessions(conn: &mut PgConnection) {
    let sql = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET lock_timeout = ''5s''', current_database());
        EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''30s''', current_database());
        EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = ''15s''',
            current_database());
        END $$";
    sqlx::raw_sql(sql).execute(conn).await.unwrap();
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        janitor::drop_database(std::mem::take(&mut self.name));
    }
}

/// Creates a folder that the server's user can reach.
fn new_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    Owner::of(folder.path()).unwrap().give(folder.path()).unwrap();
    folder
}
