//! SQL that releases held commands, for [`crate::held`].

use gx_db::{PgConnection, StoredCommandId};
use sqlx::{query, query_as};
use time::OffsetDateTime;

/// A held command.
pub(crate) struct HeldRow {
    pub(crate) command_id: StoredCommandId,
    pub(crate) aggregate_key: String,
    pub(crate) number: i64,
}

/// Returns the first held commands of some aggregates, each above a number. The number spares the
/// index entries of commands that ended long ago.
pub(crate) async fn behind(
    conn: &mut PgConnection,
    keys: &[&str],
    numbers: &[i64],
    limit: i64,
) -> Result<Vec<HeldRow>, sqlx::Error> {
    query_as!(
        HeldRow,
        r#"SELECT w."commandId" AS command_id, w."aggregateKey" AS aggregate_key, w.number
           FROM unnest($1::text[], $2::bigint[]) AS ended (key, number)
           CROSS JOIN LATERAL (
               SELECT "commandId", "aggregateKey", number FROM "OutboxCommand"
               WHERE ("aggregateKey", number) > (ended.key, ended.number)
                 AND ("aggregateKey", number) <= (ended.key, 9223372036854775807)
                 AND status = 'HELD'
               ORDER BY "aggregateKey", number LIMIT $3) AS w"#,
        keys as &[&str],
        numbers,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns the next held commands of any aggregate, in the order of aggregate key and number.
pub(crate) async fn next(
    conn: &mut PgConnection,
    after_key: &str,
    after_number: i64,
    limit: i64,
) -> Result<Vec<HeldRow>, sqlx::Error> {
    query_as!(
        HeldRow,
        r#"SELECT "commandId" AS command_id, "aggregateKey" AS aggregate_key, number
           FROM "OutboxCommand"
           WHERE status = 'HELD' AND ("aggregateKey", number) > ($1, $2)
           ORDER BY "aggregateKey", number LIMIT $3"#,
        after_key,
        after_number,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns for each aggregate the number below which no command waits for an earlier one: the
/// number of the first command that is in flight, delayed, blocked or dead. Only the first `window`
/// unsettled commands are looked at; later ones count as waiting. The number is `None` if no
/// command waits.
pub(crate) async fn free_until(
    conn: &mut PgConnection,
    keys: &[&str],
    window: i64,
    now: OffsetDateTime,
) -> Result<Vec<(String, Option<i64>)>, sqlx::Error> {
    let rows = query!(
        r#"SELECT k.key AS "key!",
                  (SELECT coalesce(min(w.number) FILTER (WHERE w.waits),
                                   CASE WHEN count(*) >= $2 THEN max(w.number) + 1 END)
                   FROM (SELECT h.number,
                                h.status <> 'HELD' AND (h.status <> 'PENDING'
                                                        OR h."nextAttemptAt" > $3) AS waits
                         FROM "OutboxCommand" h
                         WHERE (h."aggregateKey", h.number) > (k.key, 0)
                           AND (h."aggregateKey", h.number) <= (k.key, 9223372036854775807)
                           AND h."settledAt" IS NULL
                         ORDER BY h."aggregateKey", h.number LIMIT $2) AS w) AS until
           FROM unnest($1::text[]) AS k (key)"#,
        keys as &[&str],
        window,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.until)).collect())
}

/// Sets held commands PENDING and returns their number. `status || ''` keeps the planner from
/// starting with all held commands.
pub(crate) async fn release(
    conn: &mut PgConnection,
    ids: &[&StoredCommandId],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand" c SET status = 'PENDING', "updatedAt" = $2
           FROM unnest($1::text[]) AS named (id)
           WHERE c."commandId" = named.id AND c.status || '' = 'HELD'"#,
        ids as &[&StoredCommandId],
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
