//! SQL of `LedgerAttempt`, for the parent module.

use gx_db::{PgConnection, StoredCommandId, TxId};
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

use super::{JudgedAttempt, NewAttempt};

/// An open attempt.
pub(crate) struct OpenRow {
    pub(crate) tx_id: TxId,
    pub(crate) envelope: Vec<u8>,
    pub(crate) sends: i32,
    pub(crate) refused_at_height: Option<i64>,
}

/// Lets only one transaction at a time store an attempt.
pub(crate) async fn serialise_stores(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query!(r#"SELECT pg_advisory_xact_lock(hashtext('gx LedgerAttempt store'))"#)
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns whether an open attempt touches any of these keys. The statement intersects two sets:
/// `&&`, or a join whose size the planner cannot know, would compare each key with each.
pub(crate) async fn overlaps_open(
    conn: &mut PgConnection,
    touches: &[String],
) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT unnest(touches) FROM "LedgerAttempt"
                          WHERE "settledAt" IS NULL
                          INTERSECT
                          SELECT unnest($1::text[])) AS "overlaps!""#,
        touches,
    )
    .fetch_one(conn)
    .await
}

/// Returns every key that an open attempt touches.
pub(crate) async fn open_touches(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT DISTINCT unnest(touches) AS "key!" FROM "LedgerAttempt"
           WHERE "settledAt" IS NULL"#
    )
    .fetch_all(conn)
    .await
}

/// Returns whether an attempt with this id was stored, in any state.
pub(crate) async fn exists(conn: &mut PgConnection, tx_id: &TxId) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "LedgerAttemptHistory" WHERE "txId" = $1) AS "exists!""#,
        tx_id.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Returns the ended attempts of the newest blocks, newest first, and the number of open ones. Both
/// come from one statement: each claim waits for the answer.
pub(crate) async fn judged_last(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<(Vec<JudgedAttempt>, i64), sqlx::Error> {
    let rows = query!(
        r#"WITH judged AS (
               SELECT "txId", coalesce("blockNumber", "refusedAtHeight" - 1) AS block,
                      "validationCode", state, "signerRole", "commandIds", "settledAt"
               FROM "LedgerAttempt"
               WHERE "settledAt" IS NOT NULL
                 AND coalesce("blockNumber", "refusedAtHeight" - 1) IS NOT NULL
               ORDER BY coalesce("blockNumber", "refusedAtHeight" - 1) DESC LIMIT $1)
           SELECT (SELECT count(*) FROM "LedgerAttempt" WHERE "settledAt" IS NULL) AS "open!",
                  "txId" AS "tx_id?", block AS "block?", "validationCode" AS code,
                  state = 'VALID' AS "is_valid?", "signerRole" AS signer,
                  CASE WHEN state = 'VALID' THEN '{}' ELSE "commandIds" END
                      AS "commands?: Vec<StoredCommandId>",
                  "settledAt" AS "settled_at?"
           FROM (SELECT) AS always LEFT JOIN judged ON true ORDER BY block DESC"#,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let open = rows.first().map_or(0, |row| row.open);
    // Without an ended attempt there is one row, with the number of open ones alone.
    let judged = rows.into_iter().filter_map(|row| {
        Some(JudgedAttempt {
            tx_id: row.tx_id?.into(),
            block: row.block?,
            code: row.code,
            is_valid: row.is_valid?,
            signer: row.signer.and_then(|name| name.parse().ok()),
            commands: row.commands?,
            settled_at: row.settled_at?,
        })
    });
    Ok((judged.collect(), open))
}

/// Returns whether each of these attempts is valid, or `None` while it is open.
pub(crate) async fn ends(
    conn: &mut PgConnection,
    tx_ids: &[TxId],
) -> Result<Vec<(TxId, Option<bool>)>, sqlx::Error> {
    let rows = query!(
        r#"SELECT a."txId" AS "tx_id!: TxId",
                  CASE WHEN a."settledAt" IS NOT NULL THEN a.state = 'VALID' END AS is_valid
           FROM unnest($1::text[]) AS named (id) JOIN "LedgerAttempt" a ON a."txId" = named.id"#,
        tx_ids as &[TxId],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.tx_id, row.is_valid)).collect())
}

/// Adds an open attempt with one send, which is about to happen.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    new: &NewAttempt<'_>,
    now: OffsetDateTime,
    next_send_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "LedgerAttempt" ("txId", purpose, "genesisHash", envelope, "commandIds",
                                        touches, sends, "nextSendAt", "createdAt", "signerRole")
           VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9)"#,
        new.tx_id.as_str(),
        new.purpose.name(),
        new.genesis_hash,
        new.envelope,
        new.command_ids as &[StoredCommandId],
        new.touches,
        next_send_at,
        now,
        new.signer.name(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes due open attempts, counts a send of each, and sets their next time.
pub(crate) async fn take_due(
    conn: &mut PgConnection,
    limit: i64,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Vec<OpenRow>, sqlx::Error> {
    query_as!(
        OpenRow,
        r#"WITH due AS (
               SELECT "txId" FROM "LedgerAttempt"
               WHERE "settledAt" IS NULL AND "nextSendAt" <= $2
               ORDER BY "nextSendAt"
               LIMIT $1
               FOR UPDATE SKIP LOCKED)
           UPDATE "LedgerAttempt" a SET "nextSendAt" = $3, sends = a.sends + 1
           FROM due WHERE a."txId" = due."txId"
           RETURNING a."txId" AS tx_id, a.envelope, a.sends,
                     a."refusedAtHeight" AS refused_at_height"#,
        limit,
        now,
        until,
    )
    .fetch_all(conn)
    .await
}

/// Makes delayed open attempts due.
pub(crate) async fn make_open_attempts_due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "LedgerAttempt" SET "nextSendAt" = $1
           WHERE "settledAt" IS NULL AND "nextSendAt" > $1"#,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Records the result of sending an open attempt.
pub(crate) async fn replied(
    conn: &mut PgConnection,
    tx_id: &TxId,
    next_send_at: OffsetDateTime,
    error_class: Option<&str>,
    error_detail: Option<&str>,
    refused_at_height: Option<i64>,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "LedgerAttempt"
           SET "nextSendAt" = $2, "errorClass" = $3, "errorDetail" = $4,
               "refusedAtHeight" = $5
           WHERE "txId" = $1 AND state = 'OPEN'"#,
        tx_id.as_str(),
        next_send_at,
        error_class,
        error_detail,
        refused_at_height,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Abandons an open attempt and returns the number of rows that changed. An ended attempt never
/// changes.
pub(crate) async fn abandon(
    conn: &mut PgConnection,
    tx_id: &TxId,
    error_detail: &str,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "LedgerAttempt"
           SET state = 'ABANDONED', "errorDetail" = $2, "settledAt" = $3
           WHERE "txId" = $1 AND state = 'OPEN'"#,
        tx_id.as_str(),
        error_detail,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Returns open attempts that were signed for another chain.
pub(crate) async fn foreign(
    conn: &mut PgConnection,
    genesis_hash: &[u8],
) -> Result<Vec<TxId>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "txId" AS "id: TxId" FROM "LedgerAttempt"
           WHERE "settledAt" IS NULL AND "genesisHash" <> $1 ORDER BY "createdAt" LIMIT 10"#,
        genesis_hash,
    )
    .fetch_all(conn)
    .await
}

/// Returns when the next delayed open attempt becomes due.
pub(crate) async fn next_due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    query_scalar!(
        r#"SELECT min("nextSendAt") FROM "LedgerAttempt"
           WHERE "settledAt" IS NULL AND "nextSendAt" > $1"#,
        now,
    )
    .fetch_one(conn)
    .await
}
