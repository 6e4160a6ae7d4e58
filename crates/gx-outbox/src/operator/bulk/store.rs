//! SQL that selects many commands. A discarded command stays PENDING until the ledger has cancelled
//! its id; it is not selected again. Called by the parent module.

use gx_db::PgConnection;
use sqlx::{query, query_scalar};

use super::BulkFilter;

/// Returns the number of commands that a filter selects.
pub(crate) async fn count_matching(
    conn: &mut PgConnection,
    filter: &BulkFilter,
) -> Result<i64, sqlx::Error> {
    query_scalar!(
        r#"SELECT count(*) AS "count!" FROM "OutboxCommand"
           WHERE "settledAt" IS NULL AND status = $1
             AND (status <> 'PENDING' OR "giveUp" ->> 'to' IS DISTINCT FROM 'DISCARDED')
             AND ($2::text IS NULL OR jsonb_exists(failures, $2))
             AND ($3::text IS NULL OR kind = $3)
             AND ($4::timestamptz IS NULL OR "updatedAt" >= $4)
             AND ($5::timestamptz IS NULL OR "updatedAt" < $5)"#,
        filter.status.name(),
        filter.class.map(|class| class.name()),
        filter.kind.map(|kind| kind.name()),
        filter.since,
        filter.until,
    )
    .fetch_one(conn)
    .await
}

/// Returns the first commands that a filter selects above a number.
pub(crate) async fn matching(
    conn: &mut PgConnection,
    filter: &BulkFilter,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let rows = query!(
        r#"SELECT number, "commandId" AS command_id FROM "OutboxCommand"
           WHERE "settledAt" IS NULL AND status = $1
             AND (status <> 'PENDING' OR "giveUp" ->> 'to' IS DISTINCT FROM 'DISCARDED')
             AND ($2::text IS NULL OR jsonb_exists(failures, $2))
             AND ($3::text IS NULL OR kind = $3)
             AND ($4::timestamptz IS NULL OR "updatedAt" >= $4)
             AND ($5::timestamptz IS NULL OR "updatedAt" < $5)
             AND number > $6
           ORDER BY number LIMIT $7"#,
        filter.status.name(),
        filter.class.map(|class| class.name()),
        filter.kind.map(|kind| kind.name()),
        filter.since,
        filter.until,
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.number, row.command_id)).collect())
}
