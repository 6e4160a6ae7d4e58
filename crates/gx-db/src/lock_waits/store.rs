//! SQL about sessions and their locks, for the parent module. It is not checked against the schema,
//! because it must run without one.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::Blocker;

/// Limit of waiting sessions in one check: each one stops the lock table for a moment.
const MAX_WAITING_SESSIONS: i64 = 16;

/// Selection of sessions.
pub(super) struct Wanted {
    /// Only sessions that this session waits for. `None` means all waits.
    pub(super) by: Option<i32>,
    /// Shortest wait that counts.
    pub(super) waiting: Duration,
    /// Shortest time of an idle transaction that counts even if no session waits: queries that skip
    /// locked rows miss its rows.
    pub(super) idle: Option<Duration>,
}

/// Returns the sessions that hold locks for which others of this database wait, the most blocking
/// ones first. A session that only waits ahead of others is not included.
pub(super) async fn blockers(
    conn: &mut PgConnection,
    wanted: Wanted,
) -> sqlx::Result<Vec<Blocker>> {
    let rows = sqlx::query(
        "WITH RECURSIVE waiting AS MATERIALIZED (
             SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'
               AND pid = coalesce($1, pid)
               AND clock_timestamp() - query_start >= $2 * interval '1 millisecond'
             ORDER BY query_start LIMIT $3
         ), chain (waiting, pid) AS (
             SELECT waiting.pid, blocker FROM waiting, unnest(pg_blocking_pids(waiting.pid)) AS blocker
             UNION
             SELECT chain.waiting, blocker
             FROM chain JOIN pg_stat_activity AS next ON next.pid = chain.pid,
                  unnest(pg_blocking_pids(chain.pid)) AS blocker
             WHERE next.wait_event_type = 'Lock'
         )
         SELECT s.pid, s.application_name, host(s.client_addr) AS client, s.state,
                (extract(epoch FROM clock_timestamp() - s.state_change) * 1000)::bigint AS age_ms,
                blocked.by_it AS blocks
         FROM pg_stat_activity AS s,
              LATERAL (SELECT count(DISTINCT waiting) AS by_it FROM chain WHERE chain.pid = s.pid)
                  AS blocked
         WHERE s.wait_event_type IS DISTINCT FROM 'Lock'
           AND (blocked.by_it > 0
                OR s.datname = current_database() AND s.state LIKE 'idle in transaction%'
                   AND clock_timestamp() - s.state_change >= $4 * interval '1 millisecond')
         ORDER BY blocks DESC, s.pid",
    )
    .bind(wanted.by)
    .bind(in_ms(wanted.waiting))
    .bind(MAX_WAITING_SESSIONS)
    .bind(wanted.idle.map(in_ms))
    .fetch_all(conn)
    .await?;
    rows.iter().map(blocker).collect()
}

/// Returns the session that holds an advisory lock of this database.
pub(super) async fn holder_of_advisory(
    conn: &mut PgConnection,
    key: i64,
) -> sqlx::Result<Option<Blocker>> {
    let row = sqlx::query(
        "SELECT s.pid, s.application_name, host(s.client_addr) AS client, s.state,
                (extract(epoch FROM clock_timestamp() - s.state_change) * 1000)::bigint AS age_ms,
                1::bigint AS blocks
         FROM pg_locks l JOIN pg_stat_activity s USING (pid)
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND (l.classid::bigint << 32 | l.objid::bigint) = $1",
    )
    .bind(key)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(blocker).transpose()
}

pub(super) async fn backend_pid(conn: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await
}

fn in_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn blocker(row: &PgRow) -> sqlx::Result<Blocker> {
    let age_ms: Option<i64> = row.try_get("age_ms")?;
    let blocks: i64 = row.try_get("blocks")?;
    Ok(Blocker {
        pid: row.try_get("pid")?,
        application: row.try_get("application_name")?,
        client: row.try_get("client")?,
        state: row.try_get("state")?,
        age: age_ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
        blocks: u32::try_from(blocks).unwrap_or(u32::MAX),
    })
}
