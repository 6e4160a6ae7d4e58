//! A real PostgreSQL for tests: one server shared by all test processes of a target folder,
//! and a database of its own for each test, cloned from a migrated template.
//!
//! The first process that needs the server starts it; it stops when the last has ended, even
//! one that was killed. Panics instead of errors: this is for tests only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test without its database has failed")]

mod janitor;
mod own;
mod shared;

use secrecy::SecretString;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool};

pub use own::TestServer;

use crate::DatabaseSettings;
use shared::SharedServer;

/// Connections that one test's pool may hold.
const POOL_SIZE: u32 = 10;
/// Start of the names of tests' databases; leftovers are found by it.
const PREFIX: &str = "gx_test_";

/// A database that one test has to itself. It disappears when dropped.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    pool: PgPool,
}

impl TestDatabase {
    /// A database with the newest schema and the countries.
    pub async fn create() -> Self {
        let server = SharedServer::get().await;
        Self::cloned_from(server, &server.template().await).await
    }

    /// A database with nothing in it.
    pub async fn empty() -> Self {
        Self::cloned_from(SharedServer::get().await, "template0").await
    }

    async fn cloned_from(server: &SharedServer, template: &str) -> Self {
        let name = format!("{PREFIX}{}", hex::encode(rand::random::<[u8; 10]>()));
        server.create_database(&name, template).await;
        let url = server.url_of(&name);
        let pool = PgPoolOptions::new()
            .max_connections(POOL_SIZE)
            .acquire_timeout(std::time::Duration::from_secs(20))
            .connect_lazy(&url)
            .expect("the URL was made here");
        Self { name, url, pool }
    }

    /// A pool without the checks of [`crate::Database`], for looking at what code did.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection that does not come from the pool.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// The URL, password included.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Settings that lead to this database.
    pub fn settings(&self) -> DatabaseSettings {
        DatabaseSettings::from_url(SecretString::from(self.url.clone()))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        janitor::drop_database(std::mem::take(&mut self.name));
    }
}
