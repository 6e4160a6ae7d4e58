//! Settings of every session of GX on the server: the server notices when this process is gone or
//! silent, and no session waits for it for long (DB-08). Each connection is prepared when it is
//! opened, unless a pooler shares its session.
//!
//! A statement sets the values after the connection was opened. Startup parameters are not used,
//! because connection poolers reject parameters that they do not know, and a parameter that the
//! server's platform does not support would make the connection fail.

mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use clap::Args;
use sqlx::PgConnection;

/// Limit of a session's name on the server, in bytes.
const MAX_NAME_BYTES: usize = 63;
/// Not every platform's server can check on its client while a statement runs.
const OPTIONAL: &str = "client_connection_check_interval";

/// How long the server waits, and lets others wait, for this process.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Name under which the server lists this process's sessions; by default the role's, such as
    /// `gx projector`. A name in DATABASE_URL is not used.
    #[arg(long, env = "DATABASE_APPLICATION_NAME")]
    pub database_application_name: Option<String>,
    /// Milliseconds that a statement may wait for one lock, 10 to 3600000. Migrations, and the
    /// projector's wait for the switch of a rebuild, have their own limits.
    #[arg(long, env = "DATABASE_LOCK_TIMEOUT_MS", default_value_t = 5_000,
          value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub database_lock_timeout_ms: u64,
    /// Milliseconds after which the server ends a session that does nothing inside a
    /// transaction, 100 to 3600000.
    #[arg(long, env = "DATABASE_IDLE_TRANSACTION_TIMEOUT_MS", default_value_t = 15_000,
          value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub database_idle_transaction_timeout_ms: u64,
    /// Seconds of silence after which the server checks whether this process's host still answers,
    /// 1 to 7200.
    #[arg(long, env = "DATABASE_KEEPALIVE_IDLE_S", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=7_200))]
    pub database_keepalive_idle_s: u32,
    /// Seconds between such checks, 1 to 7200.
    #[arg(long, env = "DATABASE_KEEPALIVE_INTERVAL_S", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=7_200))]
    pub database_keepalive_interval_s: u32,
    /// Checks without an answer after which the server ends the session, 1 to 100.
    #[arg(long, env = "DATABASE_KEEPALIVE_COUNT", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub database_keepalive_count: u32,
    /// Milliseconds that an answer of the server may stay unacknowledged before the server ends the
    /// session, 1000 to 3600000.
    #[arg(long, env = "DATABASE_TCP_USER_TIMEOUT_MS", default_value_t = 25_000,
          value_parser = clap::value_parser!(u64).range(1_000..=3_600_000))]
    pub database_tcp_user_timeout_ms: u64,
    /// Milliseconds between the server's checks, during a statement, whether this process still
    /// holds the connection, 0 to 3600000; 0 for none.
    #[arg(long, env = "DATABASE_CLIENT_CHECK_MS", default_value_t = 5_000,
          value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    pub database_client_check_ms: u64,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            database_application_name: None,
            database_lock_timeout_ms: 5_000,
            database_idle_transaction_timeout_ms: 15_000,
            database_keepalive_idle_s: 10,
            database_keepalive_interval_s: 5,
            database_keepalive_count: 3,
            database_tcp_user_timeout_ms: 25_000,
            database_client_check_ms: 5_000,
        }
    }
}

impl SessionSettings {
    /// Returns the name and values of a session.
    pub(crate) fn session(&self, statement_timeout_ms: u64) -> Session {
        let values = [
            ("statement_timeout", statement_timeout_ms),
            ("lock_timeout", self.database_lock_timeout_ms),
            ("idle_in_transaction_session_timeout", self.database_idle_transaction_timeout_ms),
            ("tcp_keepalives_idle", u64::from(self.database_keepalive_idle_s)),
            ("tcp_keepalives_interval", u64::from(self.database_keepalive_interval_s)),
            ("tcp_keepalives_count", u64::from(self.database_keepalive_count)),
            ("tcp_user_timeout", self.database_tcp_user_timeout_ms),
            (OPTIONAL, self.database_client_check_ms),
        ];
        let name = self.database_application_name.as_deref().unwrap_or("gx");
        Session {
            name: shortened(name).to_owned(),
            values: values.map(|(name, value)| (name.to_owned(), value.to_string())).into(),
        }
    }
}

/// Name and values of each session. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    name: String,
    values: Arc<[(String, String)]>,
}

impl Session {
    /// Returns the name of a session for this purpose, or the process's name if the purpose is
    /// empty.
    pub(crate) fn name_for(&self, purpose: &str) -> String {
        shortened(&format!("{} {purpose}", self.name)).trim_end().to_owned()
    }

    /// Sets the values of a session that was just opened. A server that cannot check on its client
    /// gets the other values; after any other error the connection is not used.
    pub(crate) async fn prepare(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let refused = match store::set_all(conn, &self.values).await {
            Err(sqlx::Error::Database(refused)) if refused.code().as_deref() == Some("22023") => {
                refused
            }
            done => return done,
        };
        tracing::debug!(error = %refused, "the server does not support {OPTIONAL}; continuing without it");
        let others: Vec<_> =
            self.values.iter().filter(|(name, _)| name != OPTIONAL).cloned().collect();
        store::set_all(conn, &others).await
    }
}

/// Adds the purpose of a session to the name under which the server lists it. The projector calls
/// it for connections that it keeps.
pub async fn name_session(conn: &mut PgConnection, purpose: &str) -> sqlx::Result<()> {
    store::add_to_name(conn, purpose).await
}

/// Returns whether a statement timed out waiting for a lock of another session. The same statement
/// may succeed later.
pub fn is_lock_timeout(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some("55P03")
}

/// Returns the part of a name that the server keeps.
fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME_BYTES)]
}
