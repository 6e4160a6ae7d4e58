//! SQL of `EventDLQ`.

use gx_db::PgConnection;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

use crate::read::ReadEvent;

/// A held event.
pub(crate) struct HeldRow {
    pub(crate) dead_event_id: i64,
    pub(crate) block_number: i64,
    pub(crate) tx_id: String,
    pub(crate) tx_index: i32,
    pub(crate) event_index: i32,
    pub(crate) command_id: String,
    pub(crate) aggregates: Vec<String>,
    pub(crate) payload: String,
    pub(crate) ledger_at: OffsetDateTime,
}

/// Holds an event; `false` where it is held already. One that was replayed and whose
/// effects are gone is held again.
pub(crate) async fn hold(
    conn: &mut PgConnection,
    event: &ReadEvent,
    name: Option<&str>,
    reason: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let place = &event.place;
    let done = query!(
        r#"INSERT INTO "EventDLQ" (channel, "blockNumber", "txId", "eventIndex", "txIndex",
                                   "commandId", "eventName", aggregates, reason, payload,
                                   "ledgerAt", "createdAt")
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::json, $11, $12)
           ON CONFLICT ON CONSTRAINT "EventDLQ_event_key" DO UPDATE
           SET state = 'HELD', "resolvedAt" = NULL, aggregates = EXCLUDED.aggregates,
               reason = EXCLUDED.reason
           WHERE "EventDLQ".state = 'REPLAYED'"#,
        &*place.channel,
        place.block_number,
        &*place.tx_id,
        place.event_index,
        place.tx_index,
        &*place.command_id,
        name,
        &event.keys,
        reason,
        event.payload,
        place.ledger_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Everything that held events keep back.
pub(crate) async fn held_keys(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT DISTINCT unnest(aggregates) AS "key!" FROM "EventDLQ"
           WHERE channel = $1 AND state = 'HELD'"#,
        channel,
    )
    .fetch_all(conn)
    .await
}

/// The held events in the chain's order.
pub(crate) async fn held(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<Vec<HeldRow>, sqlx::Error> {
    query_as!(
        HeldRow,
        r#"SELECT "deadEventId" AS dead_event_id, "blockNumber" AS block_number, "txId" AS tx_id,
                  "txIndex" AS tx_index, "eventIndex" AS event_index, "commandId" AS command_id,
                  aggregates, payload::text AS "payload!", "ledgerAt" AS ledger_at
           FROM "EventDLQ" WHERE channel = $1 AND state = 'HELD'
           ORDER BY "blockNumber", "txIndex", "eventIndex""#,
        channel,
    )
    .fetch_all(conn)
    .await
}

/// Marks a held event as applied.
pub(crate) async fn resolve(
    conn: &mut PgConnection,
    dead_event_id: i64,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "EventDLQ" SET state = 'REPLAYED', "resolvedAt" = $2
           WHERE "deadEventId" = $1 AND state = 'HELD'"#,
        dead_event_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes why a held event still cannot be applied.
pub(crate) async fn still(
    conn: &mut PgConnection,
    dead_event_id: i64,
    reason: &str,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "EventDLQ" SET reason = $2 WHERE "deadEventId" = $1 AND state = 'HELD'"#,
        dead_event_id,
        reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts of held events, and of all events that were applied or are held.
pub(crate) async fn count_held(conn: &mut PgConnection, channel: &str) -> Result<i64, sqlx::Error> {
    query_scalar!(
        r#"SELECT count(*) AS "held!" FROM "EventDLQ" WHERE channel = $1 AND state = 'HELD'"#,
        channel,
    )
    .fetch_one(conn)
    .await
}
