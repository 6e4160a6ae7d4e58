//! Connections for requests. The authorization and the handlers of services call it.

use gx_db::{Database, DbError, Health, Postgres};
use gx_serve::Problem;
use sqlx::pool::PoolConnection;

/// Returns a connection, or fails at once with 503: clients do not wait for an unusable database.
pub(crate) async fn connection(database: &Database) -> Result<PoolConnection<Postgres>, Problem> {
    database.connection().await.map_err(|error| match error {
        DbError::Unusable(health) => unusable(&health),
        DbError::Driver(error) => error.into(),
        settings @ DbError::Settings(_) => Problem::internal(&settings),
    })
}

/// Returns the 503 of a database that cannot be used.
pub(crate) fn unusable(health: &Health) -> Problem {
    tracing::warn!(%health, "no database is usable: {health}");
    Problem::unavailable("The database is not available at the moment.", 2)
}
