//! SQL for what operators see and do.

use gx_db::PgConnection;
use serde_json::Value;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

use crate::operate::{AttemptRow, CommandFilter, CommandRow};

/// How many commands stand somewhere, and since when the oldest of them is wanted.
pub(crate) struct CountRow {
    pub(crate) status: String,
    pub(crate) count: i64,
    pub(crate) oldest: OffsetDateTime,
}

/// One command.
pub(crate) async fn get(
    conn: &mut PgConnection,
    command_id: &str,
) -> Result<Option<CommandRow>, sqlx::Error> {
    query_as!(
        CommandRow,
        r#"SELECT number AS "number!", "commandId" AS "command_id!", kind AS "kind!",
                  status AS "status!", "aggregateKey" AS "aggregate_key!",
                  "profileId" AS profile_id, "requestedBy" AS "requested_by!",
                  attempts AS "attempts!", failures AS "failures!",
                  "nextAttemptAt" AS "next_attempt_at!", "txId" AS tx_id,
                  "blockNumber" AS block_number, outcome, prerequisite,
                  "lastError" AS last_error, "giveUp" AS give_up, "createdAt" AS "created_at!",
                  "settledAt" AS settled_at
           FROM "OutboxHistory" WHERE "commandId" = $1"#,
        command_id,
    )
    .fetch_optional(conn)
    .await
}

/// The newest commands that a filter lets through.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &CommandFilter<'_>,
    limit: i64,
) -> Result<Vec<CommandRow>, sqlx::Error> {
    query_as!(
        CommandRow,
        r#"SELECT number AS "number!", "commandId" AS "command_id!", kind AS "kind!",
                  status AS "status!", "aggregateKey" AS "aggregate_key!",
                  "profileId" AS profile_id, "requestedBy" AS "requested_by!",
                  attempts AS "attempts!", failures AS "failures!",
                  "nextAttemptAt" AS "next_attempt_at!", "txId" AS tx_id,
                  "blockNumber" AS block_number, outcome, prerequisite,
                  "lastError" AS last_error, "giveUp" AS give_up, "createdAt" AS "created_at!",
                  "settledAt" AS settled_at
           FROM "OutboxHistory"
           WHERE ($1::text IS NULL OR status = $1)
             AND ($2::text IS NULL OR kind = $2)
             AND ($3::text IS NULL OR "profileId" = $3)
             AND ($4::text IS NULL OR "aggregateKey" = $4)
             AND ($5::bigint IS NULL OR number < $5)
           ORDER BY number DESC LIMIT $6"#,
        filter.status.map(|status| status.name()),
        filter.kind.map(|kind| kind.name()),
        filter.profile_id,
        filter.aggregate_key,
        filter.below,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// The newest envelopes that carried a command. They were made between its beginning and its
/// last change, which bounds the search.
pub(crate) async fn attempts(
    conn: &mut PgConnection,
    command_id: &str,
    limit: i64,
) -> Result<Vec<AttemptRow>, sqlx::Error> {
    query_as!(
        AttemptRow,
        r#"SELECT a."txId" AS "tx_id!", a.purpose AS "purpose!", a.state AS "state!",
                  a.sends AS "sends!", a."nextSendAt" AS "next_send_at!",
                  a."errorClass" AS error_class, a."errorDetail" AS error_detail,
                  a."validationCode" AS validation_code, a."blockNumber" AS block_number,
                  a."createdAt" AS "created_at!", a."settledAt" AS settled_at
           FROM "OutboxHistory" c
           JOIN "LedgerAttemptHistory" a ON a."createdAt" BETWEEN c."createdAt" AND c."updatedAt"
                                 AND a."commandIds" @> ARRAY[c."commandId"]
           WHERE c."commandId" = $1
           ORDER BY a."createdAt" DESC, a."txId" LIMIT $2"#,
        command_id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Counts of the commands that somebody may have to look at: what is not settled, and what
/// took effect without its declared result.
pub(crate) async fn count_unsettled(conn: &mut PgConnection) -> Result<Vec<CountRow>, sqlx::Error> {
    query_as!(
        CountRow,
        r#"SELECT status AS "status!", count(*) AS "count!", min("createdAt") AS "oldest!"
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

/// How many envelopes are in no block yet, and when the oldest of them was stored.
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

/// Discards a dead command whose id the ledger has cancelled, and wants the same under
/// another id; its aggregate.
pub(crate) async fn reissue(
    conn: &mut PgConnection,
    command_id: &str,
    new_id: &str,
    why: &Value,
    kinds: &[String],
    now: OffsetDateTime,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"WITH old AS (
               UPDATE "OutboxCommand"
               SET status = 'DISCARDED', "giveUp" = $3, "settledAt" = $5::timestamptz,
                   "updatedAt" = $5
               WHERE "commandId" = $1 AND status = 'DEAD' AND outcome IS NOT NULL
                 AND kind = ANY($4)
               RETURNING kind, payload, "signerRole", "aggregateKey", lane, touches, "profileId",
                         "requestedBy", "requestId")
           INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey",
                                        lane, touches, "profileId", "requestedBy", "requestId",
                                        "nextAttemptAt", "createdAt", "updatedAt")
           SELECT $2, kind, payload, "signerRole", "aggregateKey", lane, touches, "profileId",
                  "requestedBy", "requestId", 'epoch', $5, $5
           FROM old
           RETURNING "aggregateKey""#,
        command_id,
        new_id,
        why,
        kinds,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Discards a command that the ledger has cancelled; returns its aggregate.
pub(crate) async fn discard_cancelled(
    conn: &mut PgConnection,
    command_id: &str,
    why: &Value,
    now: OffsetDateTime,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "OutboxCommand"
           SET status = 'DISCARDED', "giveUp" = $2, prerequisite = NULL, "settledAt" = $3,
               "updatedAt" = $3
           WHERE "commandId" = $1 AND status = 'DEAD' AND outcome IS NOT NULL
           RETURNING "aggregateKey""#,
        command_id,
        why,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Asks for a command to be cancelled on the ledger and then discarded.
pub(crate) async fn cancel(
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
