//! Health checks of the database. A service adds those of [`watch`] when its board is created; `gx`
//! adds the others for a worker.

use std::time::Duration;

use gx_db::{Database, DbError, FailingWrites, Health, Migration, Postgres, SeenBlocker};
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::pool::PoolConnection;

use crate::health::{CheckResult, HealthBoard};
use crate::problem::Problem;

/// Limit for the check to get a connection from the pool.
const WAIT: Duration = Duration::from_secs(1);

/// Returns a connection, or fails at once with 503: clients do not wait for an unusable database.
///
/// # Errors
/// The problem with status 503.
pub async fn connection(database: &Database) -> Result<PoolConnection<Postgres>, Problem> {
    database.connection().await.map_err(|error| match error {
        DbError::Unusable(health) => unusable(&health),
        DbError::Driver(error) => error.into(),
        settings @ DbError::Settings(_) => Problem::internal(&settings),
    })
}

/// Returns the 503 of a database that cannot be used.
pub fn unusable(health: &Health) -> Problem {
    tracing::warn!(%health, "no database is usable: {health}");
    Problem::unavailable("The database is not available at the moment.", 2)
}

/// Adds the checks of a service, among them the critical check `database`: a proven instance
/// answers and its schema is current. Pending migrations are named (RDY-04).
pub fn watch(board: &HealthBoard, database: Database) {
    board.set_schema(Migration::newest().name);
    watch_lock_waits(board, database.clone());
    watch_writes(board, database.clone(), false);
    board.check_with("database", true, move || {
        let database = database.clone();
        Box::pin(async move { check_result(&database).await })
    });
}

/// Adds the check `databaseInstance` of a worker: a proven instance is in use, or the reason why
/// none is. The worker's own check `database` reports the errors of its statements.
pub fn watch_instance(board: &HealthBoard, database: Database) {
    board.check_with("databaseInstance", true, move || {
        let health = database.health();
        let result = match health {
            Health::Ok { .. } => CheckResult::healthy(),
            _ => CheckResult::unhealthy(health.to_string()),
        };
        Box::pin(async move { result })
    });
}

/// Adds the check `databaseLocks`, which names sessions that others wait for or have just waited
/// for, and sessions that are idle in a transaction (DB-08). It is not critical, because requests
/// that wait for a lock end with a 503.
pub fn watch_lock_waits(board: &HealthBoard, database: Database) {
    board.check_with("databaseLocks", false, move || {
        let result = lock_waits(&database.blockers());
        Box::pin(async move { result })
    });
}

/// Adds the check `databaseWrites`, which is unhealthy while the server cannot store anything, with
/// the server's reason (RDY-09). It is critical for a role that only stores. A service continues to
/// answer requests that write nothing.
pub fn watch_writes(board: &HealthBoard, database: Database, critical: bool) {
    board.check_with("databaseWrites", critical, move || {
        let result = writes(database.failing_writes());
        Box::pin(async move { result })
    });
}

fn writes(failing: Option<FailingWrites>) -> CheckResult {
    let Some(FailingWrites { reason, since }) = failing else { return CheckResult::healthy() };
    let message = format!("the database cannot store anything: {reason}");
    CheckResult::unhealthy(message)
        .with_value(json!({ "reason": reason, "failingMs": in_ms(since) }))
}

fn lock_waits(seen: &[SeenBlocker]) -> CheckResult {
    if seen.is_empty() {
        return CheckResult::healthy();
    }
    let said = seen.iter().map(|SeenBlocker { blocker, ago }| match ago.as_secs() {
        0 => blocker.to_string(),
        ago => format!("{blocker} ({ago} s ago)"),
    });
    let value = seen.iter().map(|SeenBlocker { blocker, ago }| {
        json!({
            "pid": blocker.pid,
            "applicationName": blocker.application,
            "client": blocker.client,
            "state": blocker.state,
            "ageMs": blocker.age.map(in_ms),
            "blocks": blocker.blocks,
            "seenMsAgo": in_ms(*ago),
        })
    });
    let (said, value) = (said.collect::<Vec<_>>().join("; "), value.collect::<Vec<Value>>());
    let result = match seen.iter().any(|SeenBlocker { blocker, .. }| blocker.blocks > 0) {
        true => CheckResult::unhealthy(said),
        // No session waits for it, but queries that skip locked rows miss its rows.
        false => CheckResult::healthy().with_message(said),
    };
    result.with_value(value.into())
}

fn in_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Makes the check `database`.
async fn check_result(database: &Database) -> CheckResult {
    let health = database.health();
    match &health {
        Health::Ok { .. } => answers(database).await,
        Health::Pending(names) => CheckResult::unhealthy(health.to_string())
            .with_value(json!({ "pendingMigrations": names })),
        _ => CheckResult::unhealthy(health.to_string()),
    }
}

/// Asks the instance in use for an answer over a connection of the pool.
async fn answers(database: &Database) -> CheckResult {
    match tokio::time::timeout(WAIT, database.pool().acquire()).await {
        Ok(Ok(mut conn)) => match conn.ping().await {
            Ok(()) => CheckResult::healthy(),
            Err(error) => CheckResult::unhealthy(format!("the database does not answer: {error}")),
        },
        Ok(Err(error)) => CheckResult::unhealthy(format!("the database does not answer: {error}")),
        // A busy pool is no failure: if a busy replica is taken out of rotation, the others become
        // busier.
        Err(_) => CheckResult::healthy().with_message("every connection is in use"),
    }
}
