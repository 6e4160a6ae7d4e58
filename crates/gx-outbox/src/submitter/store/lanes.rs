//! SQL of `OutboxLane`, for leases and for attempts that are stored under a lease.

use gx_db::PgConnection;
use sqlx::query;
use time::OffsetDateTime;

/// Leases free lanes, those first that have waited longest; with `with_work`, only lanes with due
/// commands. Locked lanes are skipped, never locked commands: a command could then overtake an
/// earlier one of its aggregate. A lane without an owner is free whatever the clock says.
pub(crate) async fn lease(
    conn: &mut PgConnection,
    owner: &str,
    max_lanes: i64,
    with_work: bool,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Vec<(i16, i64)>, sqlx::Error> {
    let rows = query!(
        r#"WITH free AS (
               SELECT l.lane FROM "OutboxLane" l
               WHERE (l.owner IS NULL OR l."leaseUntil" <= $3)
                 AND (NOT $5 OR EXISTS (SELECT FROM "OutboxCommand" c
                                        WHERE c.lane = l.lane AND c.status = 'PENDING'
                                          AND c."nextAttemptAt" <= $3))
               ORDER BY l."servedAt", l.lane
               LIMIT $2
               FOR UPDATE SKIP LOCKED)
           UPDATE "OutboxLane" l
           SET owner = $1, token = l.token + 1, "leaseUntil" = $4, "servedAt" = $3
           FROM free WHERE l.lane = free.lane
           RETURNING l.lane, l.token"#,
        owner,
        max_lanes,
        now,
        until,
        with_work,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.lane, row.token)).collect())
}

/// Extends the lanes whose tokens are still valid and returns their number.
pub(crate) async fn renew(
    conn: &mut PgConnection,
    lanes: &[i16],
    tokens: &[i64],
    until: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxLane" l SET "leaseUntil" = $3
           FROM unnest($1::smallint[], $2::bigint[]) AS held (lane, token)
           WHERE l.lane = held.lane AND l.token = held.token"#,
        lanes,
        tokens,
        until,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Returns the lanes whose tokens are no longer valid, each with the owner that it has now.
pub(crate) async fn lost(
    conn: &mut PgConnection,
    lanes: &[i16],
    tokens: &[i64],
) -> Result<Vec<(i16, Option<String>)>, sqlx::Error> {
    let rows = query!(
        r#"SELECT l.lane, l.owner FROM "OutboxLane" l
           JOIN unnest($1::smallint[], $2::bigint[]) AS held (lane, token)
             ON l.lane = held.lane AND l.token <> held.token
           ORDER BY l.lane"#,
        lanes,
        tokens,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.lane, row.owner)).collect())
}

/// Locks the lanes whose tokens are still valid until the transaction ends, and returns their
/// number.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    lanes: &[i16],
    tokens: &[i64],
) -> Result<usize, sqlx::Error> {
    let rows = query!(
        r#"SELECT l.lane FROM "OutboxLane" l
           JOIN unnest($1::smallint[], $2::bigint[]) AS held (lane, token)
             ON l.lane = held.lane AND l.token = held.token
           ORDER BY l.lane
           FOR UPDATE OF l"#,
        lanes,
        tokens,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.len())
}

/// Releases the lanes whose tokens are still valid.
pub(crate) async fn release(
    conn: &mut PgConnection,
    lanes: &[i16],
    tokens: &[i64],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "OutboxLane" l SET owner = NULL, "leaseUntil" = $3
           FROM unnest($1::smallint[], $2::bigint[]) AS held (lane, token)
           WHERE l.lane = held.lane AND l.token = held.token"#,
        lanes,
        tokens,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Releases every lane of an owner, invalidates the tokens of its earlier process, and returns the
/// number of lanes.
pub(crate) async fn release_owner(
    conn: &mut PgConnection,
    owner: &str,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxLane" SET owner = NULL, token = token + 1, "leaseUntil" = $2
           WHERE owner = $1"#,
        owner,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
