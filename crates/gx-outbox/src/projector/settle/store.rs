//! SQL that ends commands or blocks them, for the parent module.

use gx_db::{Parsed, PgConnection, ProfileId, StoredCommandId};
use gx_model::{AttemptState, CommandStatus};
use serde_json::Value;
use sqlx::{query, query_as};
use time::OffsetDateTime;

use super::EnvelopeResult;

/// A command that ends.
pub(crate) struct Ended<'a> {
    pub(crate) command_id: StoredCommandId,
    pub(crate) status: CommandStatus,
    /// Id of the transaction that decided its outcome.
    pub(crate) decided_in: &'a str,
    pub(crate) outcome: Value,
    pub(crate) block_number: i64,
}

/// A command whose prerequisite is missing.
pub(crate) struct Deferred<'a> {
    pub(crate) command_id: StoredCommandId,
    pub(crate) prerequisite: Value,
    pub(crate) tx_id: &'a str,
}

/// A command that was just settled.
pub(crate) struct SettledRow {
    pub(crate) command_id: StoredCommandId,
    pub(crate) number: i64,
    pub(crate) kind: String,
    pub(crate) status: CommandStatus,
    pub(crate) aggregate_key: String,
    pub(crate) profile_id: Option<ProfileId>,
    pub(crate) outcome: Option<Value>,
}

/// Settles the commands that are not settled yet; each may be named once.
///
/// A cancelled command that was being given up becomes DEAD, so that an operator decides. A payment
/// becomes DISCARDED instead, which releases its debit; its payer can order it again. A command
/// whose declared result must be checked stays SUBMITTED with its outcome until that is done. The
/// returned rows have an outcome only if the command did not take effect.
pub(crate) async fn settle(
    conn: &mut PgConnection,
    ended: &[Ended<'_>],
    verified_kinds: &[String],
    now: OffsetDateTime,
) -> Result<Vec<SettledRow>, sqlx::Error> {
    let ids: Vec<&str> = ended.iter().map(|one| one.command_id.as_str()).collect();
    let statuses: Vec<&str> = ended.iter().map(|one| one.status.name()).collect();
    let decided_in: Vec<&str> = ended.iter().map(|one| one.decided_in).collect();
    let outcomes: Vec<&Value> = ended.iter().map(|one| &one.outcome).collect();
    let blocks: Vec<i64> = ended.iter().map(|one| one.block_number).collect();
    query_as!(
        SettledRow,
        r#"UPDATE "OutboxCommand" c
           SET status = CASE WHEN new.status = 'DISCARDED' AND c."giveUp" ->> 'to' = 'DEAD'
                                  AND c.kind <> 'TRANSFER' THEN 'DEAD'
                             WHEN new.status = 'COMMITTED' AND c.kind = ANY($7) THEN 'SUBMITTED'
                             ELSE new.status END,
               "txId" = new."txId", "blockNumber" = new.block, outcome = new.outcome,
               prerequisite = NULL, "updatedAt" = $6::timestamptz,
               "settledAt" = CASE WHEN new.status = 'DISCARDED' AND c."giveUp" ->> 'to' = 'DEAD'
                                      AND c.kind <> 'TRANSFER'
                                    OR new.status = 'COMMITTED' AND c.kind = ANY($7)
                                  THEN NULL ELSE $6::timestamptz END
           FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::bigint[])
                AS new ("commandId", status, "txId", outcome, block)
           WHERE c."commandId" = new."commandId"
             AND c.status IN ('PENDING', 'HELD', 'SUBMITTED', 'BLOCKED', 'DEAD')
             AND NOT (c.status = 'DEAD' AND new.status = 'DISCARDED' AND c.kind <> 'TRANSFER'
                      AND coalesce(c."giveUp" ->> 'to' = 'DEAD', false))
           RETURNING c."commandId" AS command_id, c.number, c.kind,
                     c.status AS "status: Parsed<CommandStatus>",
                     c."aggregateKey" AS aggregate_key, c."profileId" AS "profile_id: ProfileId",
                     CASE WHEN new.status <> 'COMMITTED' THEN c.outcome END AS outcome"#,
        &ids as &[&str],
        &statuses as &[&str],
        &decided_in as &[&str],
        &outcomes as &[&Value],
        &blocks,
        now,
        verified_kinds,
    )
    .fetch_all(conn)
    .await
}

/// Stores in the outcome of a settled command which person it created.
pub(crate) async fn note_created(
    conn: &mut PgConnection,
    command_id: &StoredCommandId,
    fabric_user_id: &str,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "OutboxCommand"
           SET outcome = outcome || jsonb_build_object('fabricUserId', $2::text)
           WHERE "commandId" = $1"#,
        command_id.as_str(),
        fabric_user_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Blocks commands until their prerequisites arrive, uncounts their tries, and returns the number
/// of commands. A command that is being given up becomes PENDING instead, to be cancelled.
pub(crate) async fn block(
    conn: &mut PgConnection,
    deferred: &[Deferred<'_>],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let ids: Vec<&str> = deferred.iter().map(|one| one.command_id.as_str()).collect();
    let prerequisites: Vec<&Value> = deferred.iter().map(|one| &one.prerequisite).collect();
    let tx_ids: Vec<&str> = deferred.iter().map(|one| one.tx_id).collect();
    let done = query!(
        r#"UPDATE "OutboxCommand" c
           SET status = CASE WHEN c."giveUp" IS NULL THEN 'BLOCKED' ELSE 'PENDING' END,
               prerequisite = CASE WHEN c."giveUp" IS NULL THEN new.prerequisite END,
               together = NULL, suspicion = NULL,
               attempts = greatest(c.attempts - 1, 0), "updatedAt" = $4
           FROM unnest($1::text[], $2::jsonb[], $3::text[])
                AS new ("commandId", prerequisite, "txId")
           WHERE c."commandId" = new."commandId"
             AND (c.status IN ('PENDING', 'HELD')
                  OR c.status = 'SUBMITTED' AND c."txId" = new."txId" AND c.outcome IS NULL)"#,
        &ids as &[&str],
        &prerequisites as &[&Value],
        &tx_ids as &[&str],
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Ends open attempts. An ended attempt never changes.
pub(crate) async fn settle_attempts(
    conn: &mut PgConnection,
    envelopes: &[EnvelopeResult<'_>],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tx_ids: Vec<&str> = envelopes.iter().map(|one| one.tx_id).collect();
    let blocks: Vec<i64> = envelopes.iter().map(|one| one.block_number).collect();
    let (states, codes): (Vec<&str>, Vec<&str>) = envelopes
        .iter()
        .map(|one| match one.invalid {
            None => (AttemptState::Valid.name(), "VALID"),
            Some(why) => (AttemptState::Invalid.name(), why.code),
        })
        .unzip();
    query!(
        r#"UPDATE "LedgerAttempt" a
           SET state = new.state, "validationCode" = new.code, "blockNumber" = new.block,
               "settledAt" = $5
           FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
                AS new ("txId", state, code, block)
           WHERE a."txId" = new."txId" AND a.state = 'OPEN'"#,
        &tx_ids as &[&str],
        &states as &[&str],
        &codes as &[&str],
        &blocks,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Releases the commands that are blocked by one of these prerequisites, and returns their
/// aggregate keys and numbers.
pub(crate) async fn unblock(
    conn: &mut PgConnection,
    prerequisites: &[Value],
    now: OffsetDateTime,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = query!(
        r#"UPDATE "OutboxCommand"
           SET status = 'PENDING', prerequisite = NULL, "nextAttemptAt" = 'epoch',
               "updatedAt" = $2
           WHERE status = 'BLOCKED' AND prerequisite = ANY($1)
           RETURNING "aggregateKey" AS aggregate_key, number"#,
        prerequisites,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.aggregate_key, row.number)).collect())
}

/// Refuses all unsettled commands of an aggregate after a number, except those in an open attempt.
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
           WHERE ("aggregateKey", number) > ($1, $2)
             AND ("aggregateKey", number) <= ($1, 9223372036854775807)
             AND "settledAt" IS NULL AND status <> 'SUBMITTED'"#,
        aggregate_key,
        number,
        outcome,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
