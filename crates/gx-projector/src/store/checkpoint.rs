//! SQL of `ProjectorState` and `EventLog`.

use gx_db::PgConnection;
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use crate::place::Place;
use crate::read::ReadEvent;
use crate::store::rows::{self, Kind, Target};

/// Starts the checkpoint with a row of blocks that begins with block 0; `false` where there
/// is one.
pub(crate) async fn begin(
    conn: &mut PgConnection,
    channel: &str,
    genesis_hash: &[u8],
    (last, last_hash): (i64, &[u8]),
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"INSERT INTO "ProjectorState" (channel, "genesisHash", "blockNumber", "blockHash",
                                         "updatedAt")
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (channel) DO NOTHING"#,
        channel,
        genesis_hash,
        last,
        last_hash,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves the checkpoint by compare-and-set from the block before a row of blocks to the last
/// of them; `false` where it stands elsewhere.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    channel: &str,
    (before, before_hash): (i64, &[u8]),
    (last, last_hash): (i64, &[u8]),
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "ProjectorState"
           SET "blockNumber" = $2, "blockHash" = $3, "updatedAt" = $6
           WHERE channel = $1 AND "blockNumber" = $4 AND "blockHash" = $5"#,
        channel,
        last,
        last_hash,
        before,
        before_hash,
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

/// Logs events under their names; one that was applied before violates the key.
pub(crate) async fn log_events(
    conn: &mut PgConnection,
    events: &[(&'static str, &ReadEvent)],
) -> Result<(), sqlx::Error> {
    const EVENT_LOG: Target = Target {
        table: "EventLog",
        columns: &[
            ("channel", Kind::Text),
            ("blockNumber", Kind::BigInt),
            ("txId", Kind::Text),
            ("eventIndex", Kind::Integer),
            ("txIndex", Kind::Integer),
            ("commandId", Kind::Text),
            ("eventName", Kind::Text),
            ("payload", Kind::Jsonb),
            ("ledgerAt", Kind::Time),
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

/// Whether an event was applied before.
pub(crate) async fn is_logged(conn: &mut PgConnection, place: &Place) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "EventLog"
                          WHERE channel = $1 AND "blockNumber" = $2 AND "txId" = $3
                            AND "eventIndex" = $4) AS "logged!""#,
        &*place.channel,
        place.block_number,
        &*place.tx_id,
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
