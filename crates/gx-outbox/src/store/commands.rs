//! SQL of `OutboxCommand` up to the moment when an envelope carries a command.
//!
//! Commands are found by joining the list of their ids, and nothing is said of them that implies
//! a partial index. Otherwise the planner may read the whole of an index that its statistics of
//! a quiet hour, or a plan that it made in one, call empty: of the commands that wait, or of all
//! that ever waited since somebody took an old snapshot. So the index of what is unsettled is
//! that of `"settledAt" IS NULL`, which only those say who want it.

use gx_db::PgConnection;
use serde_json::Value;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

/// A command about to be added.
pub(crate) struct NewRow<'a> {
    pub(crate) command_id: String,
    pub(crate) kind: &'static str,
    pub(crate) payload: Value,
    pub(crate) signer_role: &'static str,
    pub(crate) aggregate_key: String,
    pub(crate) lane: i16,
    pub(crate) touches: Vec<String>,
    pub(crate) profile_id: Option<&'a str>,
    pub(crate) requested_by: &'a str,
    pub(crate) request_id: Option<&'a str>,
}

/// A command whose try failed.
pub(crate) struct FailingRow {
    pub(crate) command_id: String,
    pub(crate) charged: i32,
    pub(crate) was_sent: bool,
    pub(crate) give_up: Option<Value>,
}

/// What a failed try changes.
pub(crate) struct Failure<'a> {
    pub(crate) command_id: &'a str,
    pub(crate) from_status: &'a str,
    pub(crate) status: &'a str,
    pub(crate) class: &'a str,
    pub(crate) message: &'a str,
    pub(crate) next_attempt_at: OffsetDateTime,
    pub(crate) give_up: Option<&'a Value>,
}

/// Adds a command unless its id exists; how many rows were added. It is due at once, also
/// where the submitter's clock is behind the caller's.
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
        row.command_id,
        row.kind,
        row.payload,
        row.signer_role,
        row.aggregate_key,
        row.lane,
        &row.touches,
        row.profile_id,
        row.requested_by,
        row.request_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Whether the command of this id has this content.
pub(crate) async fn is_same(
    conn: &mut PgConnection,
    row: &NewRow<'_>,
) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "OutboxHistory"
                          WHERE "commandId" = $1 AND kind = $2 AND payload = $3) AS "same!""#,
        row.command_id,
        row.kind,
        row.payload,
    )
    .fetch_one(conn)
    .await
}

/// Sets PENDING what is HELD behind nothing.
pub(crate) async fn release_all_held(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand" f SET status = 'PENDING', "updatedAt" = $1
           WHERE f.status = 'HELD'
             AND (SELECT true FROM "OutboxCommand" h
                  WHERE h."aggregateKey" = f."aggregateKey" AND h.number < f.number
                    AND h."settledAt" IS NULL AND h.status <> 'HELD'
                    AND (h.status <> 'PENDING' OR h."nextAttemptAt" > $1)
                  LIMIT 1) IS NULL"#,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// The same for some aggregates, of which the command of that number has ended: looking only
/// at what follows spares the index entries of what is long done. `OFFSET 0` and `status || ''`
/// keep the planner from beginning with everything that is held.
pub(crate) async fn release_held(
    conn: &mut PgConnection,
    ended: &[(String, i64)],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let (keys, numbers): (Vec<&str>, Vec<i64>) =
        ended.iter().map(|(key, number)| (key.as_str(), *number)).unzip();
    let done = query!(
        r#"UPDATE "OutboxCommand" f SET status = 'PENDING', "updatedAt" = $3
           FROM unnest($1::text[], $2::bigint[]) AS ended (key, number)
           CROSS JOIN LATERAL (
               SELECT w."commandId" FROM "OutboxCommand" w
               WHERE w."aggregateKey" = ended.key AND w.number > ended.number
                 AND w.status = 'HELD'
                 AND (SELECT true FROM "OutboxCommand" h
                      WHERE h."aggregateKey" = w."aggregateKey" AND h.number < w.number
                        AND h."settledAt" IS NULL AND h.status <> 'HELD'
                        AND (h.status <> 'PENDING' OR h."nextAttemptAt" > $3)
                      LIMIT 1) IS NULL
               OFFSET 0) AS waiting
           WHERE f."commandId" = waiting."commandId" AND f.status || '' = 'HELD'"#,
        &keys as &[&str],
        &numbers,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Says why the last try of some pending commands was not made.
pub(crate) async fn note(
    conn: &mut PgConnection,
    ids: &[String],
    why: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "OutboxCommand" c SET "lastError" = $2, "updatedAt" = $3
           FROM unnest($1::text[]) AS named (id)
           WHERE c."commandId" = named.id AND c.status = 'PENDING'"#,
        ids,
        why,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves pending commands into an envelope, which ends their try; how many were moved.
pub(crate) async fn submit(
    conn: &mut PgConnection,
    ids: &[String],
    tx_id: &str,
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand" c
           SET status = 'SUBMITTED', "txId" = $2, attempts = attempts + 1, "updatedAt" = $3,
               "submittedAt" = coalesce("submittedAt", $3)
           FROM unnest($1::text[]) AS named (id)
           WHERE c."commandId" = named.id AND c.status = 'PENDING'"#,
        ids,
        tx_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

/// Locks commands whose try failed, with what was charged to the class so far.
pub(crate) async fn failing(
    conn: &mut PgConnection,
    ids: &[String],
    from_status: &str,
    class: &str,
) -> Result<Vec<FailingRow>, sqlx::Error> {
    query_as!(
        FailingRow,
        r#"SELECT "commandId" AS command_id, "submittedAt" IS NOT NULL AS "was_sent!",
                  coalesce((failures ->> $3::text)::integer, 0) AS "charged!",
                  "giveUp" AS give_up
           FROM unnest($1::text[]) AS named (id)
           JOIN "OutboxCommand" c ON c."commandId" = named.id AND c.status = $2
           ORDER BY number
           FOR UPDATE OF c"#,
        ids,
        from_status,
        class,
    )
    .fetch_all(conn)
    .await
}

/// Records a failed try, charged to its class. One that no envelope came of is counted here;
/// the others were when their envelope was stored.
pub(crate) async fn fail(
    conn: &mut PgConnection,
    change: &Failure<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "OutboxCommand"
           SET status = $3, "lastError" = $5, "nextAttemptAt" = $6, "updatedAt" = $8,
               "giveUp" = coalesce("giveUp", $7),
               attempts = attempts + CASE WHEN $2 = 'PENDING' THEN 1 ELSE 0 END,
               failures = failures
                   || jsonb_build_object($4::text, coalesce((failures ->> $4)::integer, 0) + 1)
           WHERE "commandId" = $1 AND status = $2"#,
        change.command_id,
        change.from_status,
        change.status,
        change.class,
        change.message,
        change.next_attempt_at,
        change.give_up,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks the commands that envelopes carry and that are not settled, with their envelopes.
/// What waits for its result to be looked for has its outcome already.
pub(crate) async fn submitted_in(
    conn: &mut PgConnection,
    tx_ids: &[&str],
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = query!(
        r#"SELECT c."txId" AS "tx_id!", c."commandId" AS command_id
           FROM "LedgerAttempt" a CROSS JOIN unnest(a."commandIds") AS carried (id)
           JOIN "OutboxCommand" c ON c."commandId" = carried.id AND c."txId" = a."txId"
           WHERE a."txId" = ANY($1) AND c.status = 'SUBMITTED' AND c.outcome IS NULL
           ORDER BY c.number FOR UPDATE OF c"#,
        tx_ids as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.tx_id, row.command_id)).collect())
}

/// Notifies the listeners of a channel.
pub(crate) async fn notify(conn: &mut PgConnection, channel: &str) -> Result<(), sqlx::Error> {
    query!("SELECT pg_notify($1, '')", channel).execute(conn).await?;
    Ok(())
}

/// When the next command that is put off becomes due; only what returned is ever put off.
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
