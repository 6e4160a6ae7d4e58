//! SQL of `OutboxCommand` that several modules share: enqueueing, moving commands into an envelope,
//! and failed tries.
//!
//! These statements join the list of command ids, and no condition in them implies a partial index.
//! Otherwise the planner could read a whole index that its statistics, or a cached plan, from a
//! quiet hour call empty: the index of the waiting commands, or with an old snapshot of all
//! commands that ever waited. The index of unsettled commands has the condition `"settledAt" IS
//! NULL`; only the statements that want this index repeat it.

use gx_db::{PgConnection, ProfileId, StoredCommandId, TxId};
use gx_model::CommandStatus;
use serde_json::Value;
use sqlx::{Connection as _, Postgres, Transaction, query, query_as, query_scalar};
use time::OffsetDateTime;

/// A command that is about to be added.
pub(crate) struct NewRow<'a> {
    pub(crate) command_id: StoredCommandId,
    pub(crate) kind: &'static str,
    pub(crate) payload: Value,
    pub(crate) signer_role: &'static str,
    pub(crate) aggregate_key: String,
    pub(crate) lane: i16,
    pub(crate) touches: Vec<String>,
    pub(crate) profile_id: Option<&'a ProfileId>,
    pub(crate) requested_by: &'a str,
    pub(crate) request_id: Option<&'a str>,
}

/// A command whose try failed.
pub(crate) struct FailingRow {
    pub(crate) command_id: StoredCommandId,
    pub(crate) touches: Vec<String>,
    pub(crate) was_sent: bool,
    pub(crate) failures: Value,
    pub(crate) suspicion: Option<Value>,
    pub(crate) together: Option<String>,
    pub(crate) give_up: Option<Value>,
    pub(crate) next_attempt_at: OffsetDateTime,
}

/// The new values of a command after a failed try.
pub(crate) struct Change {
    pub(crate) command_id: StoredCommandId,
    pub(crate) status: CommandStatus,
    pub(crate) failures: Value,
    pub(crate) suspicion: Option<Value>,
    pub(crate) together: Option<String>,
    pub(crate) give_up: Option<Value>,
    pub(crate) next_attempt_at: OffsetDateTime,
}

/// A command that an envelope carries and that is not settled.
pub(crate) struct CarriedRow {
    pub(crate) tx_id: TxId,
    pub(crate) command_id: StoredCommandId,
    /// Number of commands in the envelope, with this one.
    pub(crate) beside: i32,
}

/// Settings that make the rest of a transaction use index lookups only. The statistics may be from
/// a quiet hour; then the planner takes a scan of the whole history for cheap, or the right plan
/// for so expensive that it is compiled first.
macro_rules! index_lookups {
    () => {
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off"
    };
}

/// A setting that makes a plan for each statement of the rest of a transaction. A plan that was
/// made while the outbox was nearly empty may use any index, and would be kept while the outbox
/// grows.
macro_rules! new_plans {
    () => {
        "SET LOCAL plan_cache_mode = force_custom_plan"
    };
}

/// Begins a transaction that uses index lookups only, in one round trip; or a savepoint, if the
/// connection is in a transaction. Plans are kept, which is right for statements of which each
/// condition can be served by one index only; [`make_new_plans`] is for the others.
pub(crate) async fn begin_with_index_lookups(
    conn: &mut PgConnection,
) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    if conn.is_in_transaction() {
        let mut savepoint = conn.begin().await?;
        sqlx::raw_sql(index_lookups!()).execute(&mut *savepoint).await?;
        return Ok(savepoint);
    }
    conn.begin_with(concat!("BEGIN; ", index_lookups!())).await
}

/// Makes a plan for each statement of the rest of a transaction.
pub(crate) async fn make_new_plans(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(new_plans!()).execute(conn).await?;
    Ok(())
}

/// Makes the rest of a transaction that has begun use index lookups only, and make a plan for each
/// statement.
pub(crate) async fn use_index_lookups(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(concat!(index_lookups!(), "; ", new_plans!())).execute(conn).await?;
    Ok(())
}

/// Adds a command unless its id exists, and returns the number of rows added. The command is due at
/// once, even if the submitter's clock is behind the caller's.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    row: &NewRow<'_>,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey",
                                        lane, touches, "profileId", "requestedBy", "requestId",
                                        "nextAttemptAt", "createdAt", "updatedAt")
           SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'epoch', $11, $11
           WHERE NOT EXISTS (SELECT FROM "OutboxArchive" WHERE "commandId" = $1)
           ON CONFLICT ("commandId") DO NOTHING"#,
        row.command_id.as_str(),
        row.kind,
        row.payload,
        row.signer_role,
        row.aggregate_key,
        row.lane,
        &row.touches,
        row.profile_id.map(ProfileId::as_str),
        row.requested_by,
        row.request_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Returns whether the command with this id has this kind and payload.
pub(crate) async fn is_same(
    conn: &mut PgConnection,
    row: &NewRow<'_>,
) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "OutboxHistory"
                          WHERE "commandId" = $1 AND kind = $2 AND payload = $3) AS "same!""#,
        row.command_id.as_str(),
        row.kind,
        row.payload,
    )
    .fetch_one(conn)
    .await
}

/// Stores why the last try of some pending commands was not made.
pub(crate) async fn note(
    conn: &mut PgConnection,
    ids: &[StoredCommandId],
    why: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "OutboxCommand" c SET "lastError" = $2, "updatedAt" = $3
           FROM unnest($1::text[]) AS named (id)
           WHERE c."commandId" = named.id AND c.status = 'PENDING'"#,
        ids as &[StoredCommandId],
        why,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves pending commands into an envelope and returns their number. A command is not moved if an
/// unsettled command of its aggregate has a number between its own and its entry in `after`. If
/// the number is lower than that of `ids`, the caller rolls the whole envelope back.
pub(crate) async fn submit(
    conn: &mut PgConnection,
    ids: &[StoredCommandId],
    after: &[i64],
    tx_id: &TxId,
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand" c
           SET status = 'SUBMITTED', "txId" = $3, attempts = attempts + 1, "updatedAt" = $4,
               "submittedAt" = coalesce("submittedAt", $4)
           FROM unnest($1::text[], $2::bigint[]) AS named (id, after)
           WHERE c."commandId" = named.id AND c.status = 'PENDING'
             AND (SELECT true FROM "OutboxCommand" h
                  WHERE (h."aggregateKey", h.number) > (c."aggregateKey", named.after)
                    AND (h."aggregateKey", h.number) < (c."aggregateKey", c.number)
                    AND h."settledAt" IS NULL
                  LIMIT 1) IS NULL"#,
        ids as &[StoredCommandId],
        after,
        tx_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

/// Locks the commands whose try failed and returns them, ordered by number.
pub(crate) async fn failing(
    conn: &mut PgConnection,
    ids: &[StoredCommandId],
    from_status: CommandStatus,
) -> Result<Vec<FailingRow>, sqlx::Error> {
    query_as!(
        FailingRow,
        r#"SELECT "commandId" AS command_id, touches, "submittedAt" IS NOT NULL AS "was_sent!",
                  failures, suspicion, together, "giveUp" AS give_up,
                  "nextAttemptAt" AS next_attempt_at
           FROM unnest($1::text[]) AS named (id)
           JOIN "OutboxCommand" c ON c."commandId" = named.id AND c.status = $2
           ORDER BY number
           FOR UPDATE OF c"#,
        ids as &[StoredCommandId],
        from_status.name(),
    )
    .fetch_all(conn)
    .await
}

/// Writes the new values of failed commands and adds `tries` to their tries. A try that stored an
/// envelope was counted when it was stored.
pub(crate) async fn requeue_failed(
    conn: &mut PgConnection,
    changes: &[Change],
    from_status: CommandStatus,
    message: Option<&str>,
    tries: i32,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let ids: Vec<&str> = changes.iter().map(|one| one.command_id.as_str()).collect();
    let statuses: Vec<&str> = changes.iter().map(|one| one.status.name()).collect();
    let failures: Vec<&Value> = changes.iter().map(|one| &one.failures).collect();
    let suspicions: Vec<Option<&Value>> =
        changes.iter().map(|one| one.suspicion.as_ref()).collect();
    let together: Vec<Option<&str>> = changes.iter().map(|one| one.together.as_deref()).collect();
    let give_ups: Vec<Option<&Value>> = changes.iter().map(|one| one.give_up.as_ref()).collect();
    let next: Vec<OffsetDateTime> = changes.iter().map(|one| one.next_attempt_at).collect();
    query!(
        r#"UPDATE "OutboxCommand" c
           SET status = new.status, failures = new.failures, suspicion = new.suspicion,
               together = new.together, "giveUp" = new."giveUp",
               "nextAttemptAt" = new."nextAttemptAt", "lastError" = coalesce($9, c."lastError"),
               attempts = c.attempts + $10, "updatedAt" = $11
           FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::jsonb[], $5::text[], $6::jsonb[],
                       $7::timestamptz[])
                AS new ("commandId", status, failures, suspicion, together, "giveUp",
                        "nextAttemptAt")
           WHERE c."commandId" = new."commandId" AND c.status = $8"#,
        &ids as &[&str],
        &statuses as &[&str],
        &failures as &[&Value],
        &suspicions as &[Option<&Value>],
        &together as &[Option<&str>],
        &give_ups as &[Option<&Value>],
        &next,
        from_status.name(),
        message,
        tries,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks the unsettled commands that envelopes carry and returns them. A command whose result is
/// still to be checked has an outcome and is left out.
pub(crate) async fn submitted_in(
    conn: &mut PgConnection,
    tx_ids: &[&str],
) -> Result<Vec<CarriedRow>, sqlx::Error> {
    query_as!(
        CarriedRow,
        r#"SELECT c."txId" AS "tx_id!", c."commandId" AS command_id,
                  cardinality(a."commandIds") AS "beside!"
           FROM "LedgerAttempt" a CROSS JOIN unnest(a."commandIds") AS carried (id)
           JOIN "OutboxCommand" c ON c."commandId" = carried.id AND c."txId" = a."txId"
           WHERE a."txId" = ANY($1) AND c.status = 'SUBMITTED' AND c.outcome IS NULL
           ORDER BY c.number FOR UPDATE OF c"#,
        tx_ids as &[&str],
    )
    .fetch_all(conn)
    .await
}

/// Notifies the listeners of a channel.
pub(crate) async fn notify(conn: &mut PgConnection, channel: &str) -> Result<(), sqlx::Error> {
    query!("SELECT pg_notify($1, '')", channel).execute(conn).await?;
    Ok(())
}

/// Returns when the next delayed command becomes due. Only commands that were tried before are
/// delayed.
pub(crate) async fn next_due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    query_scalar!(
        r#"SELECT min("nextAttemptAt") FROM "OutboxCommand"
           WHERE status = 'PENDING' AND returned AND "nextAttemptAt" > $1"#,
        now,
    )
    .fetch_one(conn)
    .await
}
