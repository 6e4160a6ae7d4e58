//! SQL of `ProjectorState` and `EventLog`.

use gx_db::PgConnection;
use serde_json::Value;
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use crate::place::Place;

/// Starts the checkpoint at block 0; `false` where there is one.
pub(crate) async fn begin(
    conn: &mut PgConnection,
    channel: &str,
    genesis_hash: &[u8],
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"INSERT INTO "ProjectorState" (channel, "genesisHash", "blockNumber", "blockHash",
                                         "updatedAt")
           VALUES ($1, $2, 0, $2, $3)
           ON CONFLICT (channel) DO NOTHING"#,
        channel,
        genesis_hash,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves the checkpoint from one block to the next by compare-and-set; `false` where it
/// stands elsewhere.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    channel: &str,
    number: i64,
    hash: &[u8],
    previous_hash: &[u8],
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "ProjectorState"
           SET "blockNumber" = $2::bigint, "blockHash" = $3, "updatedAt" = $5
           WHERE channel = $1 AND "blockNumber" = $2::bigint - 1 AND "blockHash" = $4"#,
        channel,
        number,
        hash,
        previous_hash,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Locks the checkpoint, so that no block is applied meanwhile; `false` without one.
pub(crate) async fn lock(conn: &mut PgConnection, channel: &str) -> Result<bool, sqlx::Error> {
    let row = query_scalar!(
        r#"SELECT "blockNumber" FROM "ProjectorState" WHERE channel = $1 FOR UPDATE"#,
        channel,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Logs an event; `false` where it was applied before.
pub(crate) async fn log_event(
    conn: &mut PgConnection,
    place: &Place<'_>,
    name: &str,
    payload: &Value,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"INSERT INTO "EventLog" (channel, "blockNumber", "txId", "eventIndex", "txIndex",
                                   "commandId", "eventName", payload, "ledgerAt")
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT DO NOTHING"#,
        place.channel,
        place.block_number,
        place.tx_id,
        place.event_index,
        place.tx_index,
        place.command_id,
        name,
        payload,
        place.ledger_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether an event was applied before.
pub(crate) async fn is_logged(
    conn: &mut PgConnection,
    place: &Place<'_>,
) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "EventLog"
                          WHERE channel = $1 AND "blockNumber" = $2 AND "txId" = $3
                            AND "eventIndex" = $4) AS "logged!""#,
        place.channel,
        place.block_number,
        place.tx_id,
        place.event_index,
    )
    .fetch_one(conn)
    .await
}

/// Whether the read model holds any event of a channel, applied or held.
pub(crate) async fn has_events(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "EventLog" WHERE channel = $1)
               OR EXISTS (SELECT FROM "EventDLQ" WHERE channel = $1) AS "any!""#,
        channel,
    )
    .fetch_one(conn)
    .await
}

/// Tries to become the one projector of a channel, for as long as the connection lives.
pub(crate) async fn try_lead(conn: &mut PgConnection, channel: &str) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtext('gx projector'), hashtext($1)) AS "leads!""#,
        channel,
    )
    .fetch_one(conn)
    .await
}

/// Whether the connection still lives.
pub(crate) async fn ping(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query!("SELECT 1 AS one").fetch_one(conn).await.map(drop)
}
