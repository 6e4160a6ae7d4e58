//! Sessions that block others. The monitor records them at each check, for health; a migration
//! names those that it waits for.

mod store;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use store::Wanted;

/// How long a session is remembered after others waited for it. Waiting sessions time out and try
/// again, so that a single check may find none.
const MEMORY_TIME: Duration = Duration::from_secs(30);

/// A session that others wait for, or that is idle in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its process on the server, for `pg_terminate_backend`.
    pub pid: i32,
    /// Its application name; may be empty.
    pub application: String,
    /// Its address. `None` for a socket on the server's own host.
    pub client: Option<String>,
    /// Its state, such as `idle in transaction`. `None` if it belongs to another role.
    pub state: Option<String>,
    /// Time since the state began.
    pub age: Option<Duration>,
    /// Number of sessions that wait for it.
    pub blocks: u32,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, application, client, state, age, blocks } = self;
        let application = if application.is_empty() { "without a name" } else { application };
        write!(f, "session {pid} ({application}")?;
        if let Some(client) = client {
            write!(f, ", from {client}")?;
        }
        if let Some(state) = state {
            write!(f, ", {state}")?;
        }
        if let Some(age) = age {
            write!(f, " for {} s", age.as_secs())?;
        }
        match blocks {
            0 => write!(f, ")"),
            1 => write!(f, ") blocks 1 session"),
            _ => write!(f, ") blocks {blocks} sessions"),
        }
    }
}

/// A session that others waited for, and how long ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenBlocker {
    /// The session at that time.
    pub blocker: Blocker,
    /// Time since the session was seen.
    pub ago: Duration,
}

/// Returns the sessions that others have waited for longer than `waiting`, and those idle in a
/// transaction for longer than `idle`.
pub(crate) async fn blockers(
    conn: &mut PgConnection,
    waiting: Duration,
    idle: Duration,
) -> sqlx::Result<Vec<Blocker>> {
    store::blockers(conn, Wanted { by: None, waiting, idle: Some(idle) }).await
}

/// Returns the sessions that the session `pid` waits for.
pub(crate) async fn blockers_of(conn: &mut PgConnection, pid: i32) -> sqlx::Result<Vec<Blocker>> {
    store::blockers(conn, Wanted { by: Some(pid), waiting: Duration::ZERO, idle: None }).await
}

/// Key of the advisory lock of the runner in each database. It reads "GX schema".
pub(crate) const MIGRATION_LOCK_KEY: i64 = 5_140_739_163_187_896;

/// Returns the session that holds the lock of the migration runner, or `None` if none does.
pub(crate) async fn migration_runner(conn: &mut PgConnection) -> sqlx::Result<Option<Blocker>> {
    store::holder_of_advisory(conn, MIGRATION_LOCK_KEY).await
}

/// Returns the server's process of this connection.
pub(crate) async fn backend_pid(conn: &mut PgConnection) -> sqlx::Result<i32> {
    store::backend_pid(conn).await
}

/// The sessions seen lately.
#[derive(Debug, Default)]
pub(crate) struct LockWaits(Mutex<Vec<(Blocker, Instant)>>);

impl LockWaits {
    /// Records the result of a check.
    pub(crate) fn note(&self, found: Vec<Blocker>) {
        let blocked: u32 = found.iter().map(|blocker| blocker.blocks).sum();
        metrics::gauge!("gx_db_blocked_sessions").set(blocked);
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, at)| now.duration_since(*at) < MEMORY_TIME);
        for blocker in found {
            match known.iter_mut().find(|(old, _)| old.pid == blocker.pid) {
                Some(old) => *old = (blocker, now),
                None => {
                    let (pid, application) = (blocker.pid, &blocker.application);
                    tracing::warn!(pid, application, "{blocker}");
                    known.push((blocker, now));
                }
            }
        }
    }

    /// Returns the sessions that were seen lately.
    pub(crate) fn seen(&self) -> Vec<SeenBlocker> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = known.iter().map(|(blocker, at)| (blocker.clone(), at.elapsed()));
        seen.filter(|(_, ago)| *ago < MEMORY_TIME)
            .map(|(blocker, ago)| SeenBlocker { blocker, ago })
            .collect()
    }
}
