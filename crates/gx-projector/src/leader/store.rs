//! SQL of the lead: the lock, and the sessions that hold it and work under it. Called by the parent
//! module and its session keeper.

use std::time::Duration;

use gx_db::PgConnection;
use sqlx::{query, query_scalar};

/// Tries to take the lead of a channel for as long as the connection lives. Returns `false` if
/// another session leads. The same statement limits the silence of the session, so that no leader
/// is ever without that limit.
pub(crate) async fn try_lead(
    conn: &mut PgConnection,
    channel: &str,
    silence: Duration,
) -> Result<bool, sqlx::Error> {
    let limit_ms = silence.as_millis().to_string();
    query_scalar!(
        r#"SELECT CASE WHEN pg_try_advisory_lock(hashtext('gx projector'), hashtext($1))
                  THEN set_config('idle_session_timeout', $2, false) END IS NOT NULL AS "leads!""#,
        channel,
        limit_ms,
    )
    .fetch_one(conn)
    .await
}

/// Lets the statements of the session wait for a lock without a limit of its own.
pub(crate) async fn wait_for_locks(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query!(r#"SELECT set_config('lock_timeout', '0', false)"#).fetch_one(conn).await.map(drop)
}

/// Checks that the connection still works.
pub(crate) async fn ping(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query!("SELECT 1 AS one").fetch_one(conn).await.map(drop)
}

/// Returns the server's process id of this connection.
pub(crate) async fn backend_pid(conn: &mut PgConnection) -> Result<i32, sqlx::Error> {
    query_scalar!(r#"SELECT pg_backend_pid() AS "pid!""#).fetch_one(conn).await
}

/// Returns whether one of these sessions is running a statement, or has begun or ended one within
/// this time.
pub(crate) async fn have_worked(
    conn: &mut PgConnection,
    pids: &[i32],
    within: Duration,
) -> Result<bool, sqlx::Error> {
    let within_ms = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
    query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM pg_stat_activity
               WHERE pid = ANY($1) AND (state = 'active' OR state_change >
                   clock_timestamp() - $2::integer * interval '1 millisecond')) AS "works!""#,
        pids,
        within_ms,
    )
    .fetch_one(conn)
    .await
}
