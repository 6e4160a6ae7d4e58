//! SQL that moves settled commands and ended attempts into the archive, for
//! [`super::super::archive`].

use gx_db::{PgConnection, TxId};
use sqlx::{query, query_as};
use time::OffsetDateTime;

/// A range of commands, by number.
pub(crate) struct Window {
    /// The last number of the range; `None` if there is no command.
    pub(crate) upto: Option<i64>,
    /// Whether all of them were enqueued too recently to be archived.
    pub(crate) too_new: bool,
    /// The first moment of each month in which a command that can be archived was settled.
    pub(crate) months: Vec<OffsetDateTime>,
}

/// Looks at the next commands in the order of their numbers.
pub(crate) async fn window(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
    before: OffsetDateTime,
) -> Result<Window, sqlx::Error> {
    query_as!(
        Window,
        r#"SELECT max(number) AS upto, coalesce(min("createdAt") >= $3, true) AS "too_new!",
                  coalesce(array_agg(DISTINCT date_trunc('month', "settledAt", 'UTC'))
                           FILTER (WHERE "settledAt" < $3), '{}') AS "months!"
           FROM (SELECT number, "createdAt", "settledAt" FROM "OutboxCommand"
                 WHERE number > $1 ORDER BY number LIMIT $2) AS next"#,
        after,
        limit,
        before,
    )
    .fetch_one(conn)
    .await
}

/// Creates the archive's partitions for a month.
pub(crate) async fn month(
    conn: &mut PgConnection,
    moment: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(r#"SELECT "Archive_month"($1)"#, moment).execute(conn).await?;
    Ok(())
}

/// Moves the settled commands of a range and returns their number.
pub(crate) async fn move_commands(
    conn: &mut PgConnection,
    after: i64,
    upto: i64,
    before: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"WITH gone AS (
               DELETE FROM "OutboxCommand"
               WHERE number > $1 AND number <= $2 AND "settledAt" < $3
                 AND status IN ('COMMITTED', 'REFUSED', 'DISCARDED')
               RETURNING *)
           INSERT INTO "OutboxArchive" SELECT * FROM gone"#,
        after,
        upto,
        before,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Returns the oldest attempts that can be archived, with the times when they were settled.
pub(crate) async fn ended_attempts(
    conn: &mut PgConnection,
    limit: i64,
    before: OffsetDateTime,
) -> Result<Vec<(TxId, OffsetDateTime)>, sqlx::Error> {
    let rows = query!(
        r#"SELECT "txId" AS tx_id, "settledAt" AS "settled_at!" FROM "LedgerAttempt"
           WHERE "createdAt" < $2 AND "settledAt" < $2 AND state <> 'OPEN'
           ORDER BY "createdAt" LIMIT $1"#,
        limit,
        before,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.tx_id.into(), row.settled_at)).collect())
}

/// Moves ended attempts and returns their number.
pub(crate) async fn move_attempts(
    conn: &mut PgConnection,
    tx_ids: &[TxId],
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"WITH gone AS (
               DELETE FROM "LedgerAttempt" WHERE "txId" = ANY($1) AND state <> 'OPEN' RETURNING *)
           INSERT INTO "LedgerAttemptArchive"
               ("txId", purpose, "commandIds", state, sends, "nextSendAt", "errorClass",
                "errorDetail", "validationCode", "blockNumber", "createdAt", "settledAt")
           SELECT "txId", purpose, "commandIds", state, sends, "nextSendAt", "errorClass",
                  "errorDetail", "validationCode", "blockNumber", "createdAt", "settledAt"
           FROM gone"#,
        tx_ids as &[TxId],
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
