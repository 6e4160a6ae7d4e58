//! SQL of what operators can see and do, for the parent module. Commands and attempts are read from
//! the live tables and the archive; only live rows are changed,
//! except that a reason can be erased.

use gx_db::{Named, PgConnection, ProfileId, TxId};
use gx_model::{AttemptState, CommandId, CommandStatus};
use serde_json::Value;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

use super::{AttemptRow, CommandFilter, CommandRow};

/// Returns the command with this id.
pub(crate) async fn get(
    conn: &mut PgConnection,
    command_id: CommandId,
) -> Result<Option<CommandRow>, sqlx::Error> {
    query_as!(
        CommandRow,
        r#"SELECT number AS "number!", "commandId" AS "command_id!", kind AS "kind!",
                  status AS "status!: Named<CommandStatus>", "aggregateKey" AS "aggregate_key!",
                  "profileId" AS "profile_id: ProfileId", "requestedBy" AS "requested_by!",
                  attempts AS "attempts!", failures AS "failures!",
                  "nextAttemptAt" AS "next_attempt_at!", "txId" AS "tx_id: TxId",
                  "blockNumber" AS block_number, outcome, prerequisite,
                  "lastError" AS last_error, "giveUp" AS give_up, "createdAt" AS "created_at!",
                  "settledAt" AS settled_at
           FROM "OutboxHistory" WHERE "commandId" = $1"#,
        command_id.to_string(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns the newest commands that a filter selects.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &CommandFilter<'_>,
    limit: i64,
) -> Result<Vec<CommandRow>, sqlx::Error> {
    query_as!(
        CommandRow,
        r#"SELECT number AS "number!", "commandId" AS "command_id!", kind AS "kind!",
                  status AS "status!: Named<CommandStatus>", "aggregateKey" AS "aggregate_key!",
                  "profileId" AS "profile_id: ProfileId", "requestedBy" AS "requested_by!",
                  attempts AS "attempts!", failures AS "failures!",
                  "nextAttemptAt" AS "next_attempt_at!", "txId" AS "tx_id: TxId",
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
        filter.profile_id.map(ProfileId::as_str),
        filter.aggregate_key,
        filter.below,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns the newest attempts that carried a command. They were stored between its creation and
/// its last change, which limits the search.
pub(crate) async fn attempts(
    conn: &mut PgConnection,
    command_id: CommandId,
    limit: i64,
) -> Result<Vec<AttemptRow>, sqlx::Error> {
    query_as!(
        AttemptRow,
        r#"SELECT a."txId" AS "tx_id!", a.purpose AS "purpose!",
                  a.state AS "state!: Named<AttemptState>", a.sends AS "sends!",
                  a."nextSendAt" AS "next_send_at!",
                  a."errorClass" AS error_class, a."errorDetail" AS error_detail,
                  a."validationCode" AS validation_code, a."blockNumber" AS block_number,
                  a."createdAt" AS "created_at!", a."settledAt" AS settled_at
           FROM "OutboxHistory" c
           JOIN "LedgerAttemptHistory" a ON a."createdAt" BETWEEN c."createdAt" AND c."updatedAt"
                                 AND a."commandIds" @> ARRAY[c."commandId"]
           WHERE c."commandId" = $1
           ORDER BY a."createdAt" DESC, a."txId" LIMIT $2"#,
        command_id.to_string(),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Makes a dead command PENDING with full budgets, unless the ledger has cancelled its id. Returns
/// whether it did.
pub(crate) async fn retry(
    conn: &mut PgConnection,
    command_id: CommandId,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand"
           SET status = 'PENDING', attempts = 0, failures = '{}', suspicion = NULL,
               together = NULL, "nextAttemptAt" = 'epoch', "giveUp" = NULL, "updatedAt" = $2
           WHERE "commandId" = $1 AND status = 'DEAD' AND outcome IS NULL"#,
        command_id.to_string(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Discards a dead command whose id the ledger has cancelled, and enqueues it under a new id.
/// Returns its aggregate key, or `None` if there is no such command.
pub(crate) async fn reissue(
    conn: &mut PgConnection,
    command_id: CommandId,
    new_id: CommandId,
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
        command_id.to_string(),
        new_id.to_string(),
        why,
        kinds,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Discards a dead command that the ledger has cancelled. Returns its aggregate key, or `None` if
/// there is no such command.
pub(crate) async fn discard_cancelled(
    conn: &mut PgConnection,
    command_id: CommandId,
    why: &Value,
    now: OffsetDateTime,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "OutboxCommand"
           SET status = 'DISCARDED', "giveUp" = $2, prerequisite = NULL, "settledAt" = $3,
               "updatedAt" = $3
           WHERE "commandId" = $1 AND status = 'DEAD' AND outcome IS NOT NULL
           RETURNING "aggregateKey""#,
        command_id.to_string(),
        why,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Marks a command to be cancelled on the ledger and then discarded. Returns whether it did.
pub(crate) async fn cancel(
    conn: &mut PgConnection,
    command_id: CommandId,
    why: &Value,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand"
           SET status = 'PENDING', "giveUp" = $2, prerequisite = NULL,
               "nextAttemptAt" = 'epoch', "updatedAt" = $3
           WHERE "commandId" = $1 AND status IN ('PENDING', 'HELD', 'BLOCKED', 'DEAD')"#,
        command_id.to_string(),
        why,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Returns the ids of all commands about a person.
pub(crate) async fn ids_of_person(
    conn: &mut PgConnection,
    profile_id: &str,
) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "commandId" AS "id!" FROM "OutboxHistory" WHERE "profileId" = $1"#,
        profile_id,
    )
    .fetch_all(conn)
    .await
}

/// Erases the reasons of operators who discarded commands, and returns the number of commands.
/// Reasons of the submitter and of a retry are texts of this program.
pub(crate) async fn erase_live_reasons(
    conn: &mut PgConnection,
    ids: &[String],
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand" SET "giveUp" = "giveUp" - 'reason'
           WHERE "commandId" = ANY($1) AND "giveUp" ? 'reason'
             AND "giveUp" ->> 'to' = 'DISCARDED' AND "giveUp" ->> 'by' <> 'retry'"#,
        ids,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Does the same with archived commands.
pub(crate) async fn erase_archived_reasons(
    conn: &mut PgConnection,
    ids: &[String],
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxArchive" SET "giveUp" = "giveUp" - 'reason'
           WHERE "commandId" = ANY($1) AND "giveUp" ? 'reason'
             AND "giveUp" ->> 'to' = 'DISCARDED' AND "giveUp" ->> 'by' <> 'retry'"#,
        ids,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Erases the reason of a discarded command if it equals the text at the same place of `texts`, and
/// returns the number of changed commands.
pub(crate) async fn erase_live_reasons_that_are(
    conn: &mut PgConnection,
    ids: &[String],
    texts: &[String],
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand" AS c SET "giveUp" = c."giveUp" - 'reason'
           FROM unnest($1::text[], $2::text[]) AS given (id, text)
           WHERE c."commandId" = ANY($1) AND c."commandId" = given.id
             AND c."giveUp" ->> 'reason' = given.text
             AND c."giveUp" ->> 'to' = 'DISCARDED' AND c."giveUp" ->> 'by' <> 'retry'"#,
        ids,
        texts,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Does the same with archived commands.
pub(crate) async fn erase_archived_reasons_that_are(
    conn: &mut PgConnection,
    ids: &[String],
    texts: &[String],
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxArchive" AS c SET "giveUp" = c."giveUp" - 'reason'
           FROM unnest($1::text[], $2::text[]) AS given (id, text)
           WHERE c."commandId" = ANY($1) AND c."commandId" = given.id
             AND c."giveUp" ->> 'reason' = given.text
             AND c."giveUp" ->> 'to' = 'DISCARDED' AND c."giveUp" ->> 'by' <> 'retry'"#,
        ids,
        texts,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
