//! SQL of `ProjectorState` and `EventLog`. Called when blocks are applied, replayed or adopted, and
//! when the projector begins.

use gx_db::PgConnection;
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use super::rows::{self, ColumnType, InsertTarget};
use crate::apply::read::ReadEvent;
use crate::place::Place;

/// Creates the checkpoint with the last of some blocks, the first of which is block 0. Returns
/// whether there are dead letters of these blocks, or `None` if a checkpoint exists.
pub(crate) async fn begin(
    conn: &mut PgConnection,
    channel: &str,
    genesis_hash: &[u8],
    (last, last_hash): (i64, &[u8]),
    now: OffsetDateTime,
) -> Result<Option<bool>, sqlx::Error> {
    query_scalar!(
        r#"INSERT INTO "ProjectorState" (channel, "genesisHash", "blockNumber", "blockHash",
                                         "updatedAt")
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (channel) DO NOTHING
           RETURNING EXISTS (SELECT FROM "EventDLQ"
                             WHERE channel = $1 AND state = 'HELD' AND "blockNumber" <= $3)
               AS "holds!""#,
        channel,
        genesis_hash,
        last,
        last_hash,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Moves the checkpoint by compare-and-set from the block before some blocks to the last of them.
/// Returns whether there are dead letters of these blocks, which is so if the chain is read again,
/// or `None` if the checkpoint is at another block.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    channel: &str,
    (before, before_hash): (i64, &[u8]),
    (last, last_hash): (i64, &[u8]),
    now: OffsetDateTime,
) -> Result<Option<bool>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "ProjectorState"
           SET "blockNumber" = $2, "blockHash" = $3, "updatedAt" = $6
           WHERE channel = $1 AND "blockNumber" = $4 AND "blockHash" = $5
           RETURNING EXISTS (SELECT FROM "EventDLQ"
                             WHERE channel = $1 AND state = 'HELD'
                               AND "blockNumber" > $4 AND "blockNumber" <= $2) AS "holds!""#,
        channel,
        last,
        last_hash,
        before,
        before_hash,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Locks the checkpoint so that no block is applied, and returns its block number, or `None` if
/// there is no checkpoint.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<Option<i64>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "blockNumber" FROM "ProjectorState" WHERE channel = $1 FOR UPDATE"#,
        channel,
    )
    .fetch_optional(conn)
    .await
}

/// Logs an event. Returns `false` if it was applied before.
pub(crate) async fn log_event(
    conn: &mut PgConnection,
    event: &ReadEvent,
    name: &str,
) -> Result<bool, sqlx::Error> {
    let place = &event.place;
    let done = query!(
        r#"INSERT INTO "EventLog" (channel, "blockNumber", "txId", "eventIndex", "txIndex",
                                   "commandId", "eventName", payload, "ledgerAt")
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9)
           ON CONFLICT DO NOTHING"#,
        &*place.channel,
        place.block_number,
        &*place.tx_id,
        place.event_index,
        place.tx_index,
        &*place.command_id,
        name,
        event.payload,
        place.ledger_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Logs events under their names. An event that was applied before violates the key.
pub(crate) async fn log_events(
    conn: &mut PgConnection,
    events: &[(&'static str, &ReadEvent)],
) -> Result<(), sqlx::Error> {
    const EVENT_LOG: InsertTarget = InsertTarget {
        table: "EventLog",
        columns: &[
            ("channel", ColumnType::Text),
            ("blockNumber", ColumnType::BigInt),
            ("txId", ColumnType::Text),
            ("eventIndex", ColumnType::Integer),
            ("txIndex", ColumnType::Integer),
            ("commandId", ColumnType::Text),
            ("eventName", ColumnType::Text),
            ("payload", ColumnType::Jsonb),
            ("ledgerAt", ColumnType::Time),
        ],
    };
    rows::add(conn, &EVENT_LOG, events, |(name, event), row| {
        let place = &event.place;
        row.text(&place.channel)
            .bigint(place.block_number)
            .text(&place.tx_id)
            .integer(place.event_index)
            .integer(place.tx_index)
            .text(&place.command_id)
            .text(name)
            .jsonb(&event.payload)
            .time(place.ledger_at);
    })
    .await
}

/// Returns which events of a list were applied before, by their positions in it, from 1.
pub(crate) async fn logged(
    conn: &mut PgConnection,
    channel: &str,
    places: &[&Place],
) -> Result<Vec<i64>, sqlx::Error> {
    let blocks: Vec<i64> = places.iter().map(|place| place.block_number).collect();
    let tx_ids: Vec<&str> = places.iter().map(|place| &*place.tx_id).collect();
    let indexes: Vec<i32> = places.iter().map(|place| place.event_index).collect();
    query_scalar!(
        r#"SELECT wanted.number AS "number!"
           FROM unnest($2::bigint[], $3::text[], $4::integer[]) WITH ORDINALITY
                AS wanted (block, "txId", "eventIndex", number)
           JOIN "EventLog" l
               ON l.channel = $1 AND l."blockNumber" = wanted.block AND l."txId" = wanted."txId"
              AND l."eventIndex" = wanted."eventIndex""#,
        channel,
        &blocks,
        &tx_ids as &[&str],
        &indexes,
    )
    .fetch_all(conn)
    .await
}

/// Returns whether the read model has any event of a channel, applied or dead letter.
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
