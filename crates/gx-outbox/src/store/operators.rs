//! SQL for what operators see and do.

use gx_db::PgConnection;
use serde_json::Value;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

use crate::operate::CommandRow;

/// One command.
pub(crate) async fn get(
    conn: &mut PgConnection,
    command_id: &str,
) -> Result<Option<CommandRow>, sqlx::Error> {
    query_as!(
        CommandRow,
        r#"SELECT number, "commandId" AS command_id, kind, status, "aggregateKey" AS aggregate_key,
                  "profileId" AS profile_id, "requestedBy" AS requested_by, attempts, failures,
                  "nextAttemptAt" AS next_attempt_at, "txId" AS tx_id,
                  "blockNumber" AS block_number, outcome, prerequisite,
                  "lastError" AS last_error, "giveUp" AS give_up, "createdAt" AS created_at,
                  "settledAt" AS settled_at
           FROM "OutboxCommand" WHERE "commandId" = $1"#,
        command_id,
    )
    .fetch_optional(conn)
    .await
}

/// The newest commands, of one status or of all.
pub(crate) async fn list(
    conn: &mut PgConnection,
    status: Option<&str>,
    limit: i64,
) -> Result<Vec<CommandRow>, sqlx::Error> {
    query_as!(
        CommandRow,
        r#"SELECT number, "commandId" AS command_id, kind, status, "aggregateKey" AS aggregate_key,
                  "profileId" AS profile_id, "requestedBy" AS requested_by, attempts, failures,
                  "nextAttemptAt" AS next_attempt_at, "txId" AS tx_id,
                  "blockNumber" AS block_number, outcome, prerequisite,
                  "lastError" AS last_error, "giveUp" AS give_up, "createdAt" AS created_at,
                  "settledAt" AS settled_at
           FROM "OutboxCommand" WHERE $1::text IS NULL OR status = $1
           ORDER BY number DESC LIMIT $2"#,
        status,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Counts of the commands that are not settled.
pub(crate) async fn count_unsettled(
    conn: &mut PgConnection,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = query!(
        r#"SELECT status, count(*) AS "count!" FROM "OutboxCommand"
           WHERE status IN ('PENDING', 'HELD', 'SUBMITTED', 'BLOCKED', 'DEAD')
           GROUP BY status"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.status, row.count)).collect())
}

/// Makes a dead command pending with fresh budgets, unless the ledger cancelled its id.
pub(crate) async fn retry(
    conn: &mut PgConnection,
    command_id: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand"
           SET status = 'PENDING', attempts = 0, failures = '{}', "nextAttemptAt" = 'epoch',
               "giveUp" = NULL, "updatedAt" = $2
           WHERE "commandId" = $1 AND status = 'DEAD' AND outcome IS NULL"#,
        command_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Discards a command that no envelope ever carried, or that the ledger has cancelled;
/// returns its aggregate.
pub(crate) async fn discard_unsent(
    conn: &mut PgConnection,
    command_id: &str,
    why: &Value,
    now: OffsetDateTime,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "OutboxCommand"
           SET status = 'DISCARDED', "giveUp" = $2, prerequisite = NULL, "settledAt" = $3,
               "updatedAt" = $3
           WHERE "commandId" = $1
             AND (status = 'DEAD' AND outcome IS NOT NULL
                  OR status IN ('PENDING', 'HELD', 'BLOCKED', 'DEAD')
                     AND "submittedAt" IS NULL AND kind <> 'CREATE_USER')
           RETURNING "aggregateKey""#,
        command_id,
        why,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Asks for a command to be cancelled on the ledger and then discarded.
pub(crate) async fn discard_sent(
    conn: &mut PgConnection,
    command_id: &str,
    why: &Value,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand"
           SET status = 'PENDING', "giveUp" = $2, prerequisite = NULL,
               "nextAttemptAt" = 'epoch', "updatedAt" = $3
           WHERE "commandId" = $1 AND status IN ('PENDING', 'HELD', 'BLOCKED', 'DEAD')"#,
        command_id,
        why,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
