//! SQL that ends commands, or lets them wait for the ledger.

use gx_db::PgConnection;
use serde_json::Value;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

use crate::settle::Settlement;

/// A command that was just settled.
pub(crate) struct SettledRow {
    pub(crate) number: i64,
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) aggregate_key: String,
    pub(crate) profile_id: Option<String>,
}

/// Settles a command that is not settled. A cancelled one that was being given up as dead
/// ends DEAD; one of a kind whose result is looked for on the ledger stays SUBMITTED, with
/// its outcome, until somebody has looked.
pub(crate) async fn settle(
    conn: &mut PgConnection,
    command_id: &str,
    status: &str,
    decided_in: &str,
    outcome: &Value,
    verified_kinds: &[String],
    from: &Settlement<'_>,
) -> Result<Option<SettledRow>, sqlx::Error> {
    query_as!(
        SettledRow,
        r#"UPDATE "OutboxCommand" c
           SET status = next.status, "txId" = $3, "blockNumber" = $5, outcome = $4,
               prerequisite = NULL, "updatedAt" = $6::timestamptz,
               "settledAt" = CASE WHEN next.status NOT IN ('DEAD', 'SUBMITTED')
                                  THEN $6::timestamptz END
           FROM (SELECT "commandId",
                        CASE WHEN $2 = 'DISCARDED' AND "giveUp" ->> 'to' = 'DEAD' THEN 'DEAD'
                             WHEN $2 = 'COMMITTED' AND kind = ANY($7) THEN 'SUBMITTED'
                             ELSE $2 END AS status
                 FROM "OutboxCommand" WHERE "commandId" = $1 FOR UPDATE) AS next
           WHERE c."commandId" = next."commandId"
             AND c.status IN ('PENDING', 'HELD', 'SUBMITTED', 'BLOCKED', 'DEAD')
             AND (c.status, next.status) <> ('DEAD', 'DEAD')
           RETURNING c.number, c.kind, c.status, c."aggregateKey" AS aggregate_key,
                     c."profileId" AS profile_id"#,
        command_id,
        status,
        decided_in,
        outcome,
        from.block_number,
        from.now,
        verified_kinds,
    )
    .fetch_optional(conn)
    .await
}

/// Blocks a command until its prerequisite arrives, and gives its try back; whether it
/// waits now. One that is being given up goes on to its cancellation instead.
pub(crate) async fn block(
    conn: &mut PgConnection,
    command_id: &str,
    prerequisite: &Value,
    tx_id: &str,
    now: OffsetDateTime,
) -> Result<Option<bool>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "OutboxCommand"
           SET status = CASE WHEN "giveUp" IS NULL THEN 'BLOCKED' ELSE 'PENDING' END,
               prerequisite = CASE WHEN "giveUp" IS NULL THEN $2::jsonb END,
               attempts = greatest(attempts - 1, 0), "updatedAt" = $4
           WHERE "commandId" = $1
             AND (status IN ('PENDING', 'HELD')
                  OR status = 'SUBMITTED' AND "txId" = $3 AND outcome IS NULL)
           RETURNING status = 'BLOCKED' AS "waits!""#,
        command_id,
        prerequisite,
        tx_id,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Releases the commands that wait for one of some prerequisites; how many did.
pub(crate) async fn unblock(
    conn: &mut PgConnection,
    prerequisites: &[Value],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand"
           SET status = 'PENDING', prerequisite = NULL, "nextAttemptAt" = 'epoch',
               "updatedAt" = $2
           WHERE status = 'BLOCKED' AND prerequisite = ANY($1)"#,
        prerequisites,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Refuses everything of an aggregate that comes after a command and is not settled.
pub(crate) async fn refuse_successors(
    conn: &mut PgConnection,
    aggregate_key: &str,
    number: i64,
    outcome: &Value,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand"
           SET status = 'REFUSED', outcome = $3, prerequisite = NULL, "settledAt" = $4,
               "updatedAt" = $4
           WHERE "aggregateKey" = $1 AND number > $2
             AND status IN ('PENDING', 'HELD', 'BLOCKED', 'DEAD')"#,
        aggregate_key,
        number,
        outcome,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
