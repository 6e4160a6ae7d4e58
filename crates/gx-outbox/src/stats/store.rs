//! SQL that counts the outbox, for the parent module.

use gx_db::{Named, PgConnection};
use gx_model::CommandStatus;
use sqlx::{query, query_as};
use time::OffsetDateTime;

/// Number of commands in a status, and when the oldest of them was enqueued.
pub(crate) struct CountRow {
    pub(crate) status: Named<CommandStatus>,
    pub(crate) count: i64,
    pub(crate) oldest: OffsetDateTime,
}

/// Counts the unsettled commands by status, and those that took effect without their declared
/// result.
pub(crate) async fn count_unsettled(conn: &mut PgConnection) -> Result<Vec<CountRow>, sqlx::Error> {
    query_as!(
        CountRow,
        r#"SELECT status AS "status!: Named<CommandStatus>", count(*) AS "count!",
                  min("createdAt") AS "oldest!"
           FROM "OutboxCommand"
           WHERE "settledAt" IS NULL
           GROUP BY status
           UNION ALL
           SELECT status, count(*), min("createdAt") FROM "OutboxCommand"
           WHERE status = 'COMMITTED_UNVERIFIED' GROUP BY status"#
    )
    .fetch_all(conn)
    .await
}

/// Returns the number of open attempts, and when the oldest of them was stored.
pub(crate) async fn count_open(
    conn: &mut PgConnection,
) -> Result<(i64, Option<OffsetDateTime>), sqlx::Error> {
    let row = query!(
        r#"SELECT count(*) AS "count!", min("createdAt") AS oldest FROM "LedgerAttempt"
           WHERE "settledAt" IS NULL"#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.count, row.oldest))
}
