//! SQL of `EventDLQ`. Called when blocks are applied, by replays of dead letters, and by the checks
//! that count them.

use gx_db::PgConnection;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

use crate::apply::read::ReadEvent;

/// A dead letter that is held.
pub(crate) struct HeldRow {
    pub(crate) dead_event_id: i64,
    pub(crate) block_number: i64,
    pub(crate) tx_id: String,
    pub(crate) tx_index: i32,
    pub(crate) event_index: i32,
    pub(crate) command_id: String,
    pub(crate) payload: String,
    pub(crate) ledger_at: OffsetDateTime,
}

/// An event that becomes a dead letter: its name as it can be stored, and the reason.
pub(crate) struct NewDead<'a> {
    pub(crate) event: &'a ReadEvent,
    pub(crate) name: Option<String>,
    pub(crate) reason: &'a str,
}

/// Stores dead letters. An event that was replayed and whose effects are gone becomes a dead letter
/// again; an existing dead letter gets the new reason.
pub(crate) async fn hold(
    conn: &mut PgConnection,
    channel: &str,
    dead: &[NewDead<'_>],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let places = || dead.iter().map(|one| &one.event.place);
    let blocks: Vec<i64> = places().map(|place| place.block_number).collect();
    let tx_ids: Vec<&str> = places().map(|place| &*place.tx_id).collect();
    let tx_indexes: Vec<i32> = places().map(|place| place.tx_index).collect();
    let event_indexes: Vec<i32> = places().map(|place| place.event_index).collect();
    let command_ids: Vec<&str> = places().map(|place| &*place.command_id).collect();
    let times: Vec<OffsetDateTime> = places().map(|place| place.ledger_at).collect();
    let names: Vec<Option<&str>> = dead.iter().map(|one| one.name.as_deref()).collect();
    let reasons: Vec<&str> = dead.iter().map(|one| one.reason).collect();
    let payloads: Vec<&str> = dead.iter().map(|one| one.event.payload.as_str()).collect();
    // PostgreSQL has no arrays of arrays with different lengths, so the keys are sent as JSON.
    let aggregates: Vec<String> =
        dead.iter().map(|one| serde_json::json!(one.event.keys).to_string()).collect();
    query!(
        r#"INSERT INTO "EventDLQ" (channel, "blockNumber", "txId", "eventIndex", "txIndex",
                                   "commandId", "eventName", aggregates, reason, payload,
                                   "ledgerAt", "createdAt")
           SELECT $1::text, new.block, new."txId", new."eventIndex", new."txIndex", new."commandId",
                  new.name, ARRAY(SELECT json_array_elements_text(new.aggregates::json)),
                  new.reason, new.payload::json, new.at, $2::timestamptz
           FROM unnest($3::bigint[], $4::text[], $5::integer[], $6::integer[], $7::text[],
                       $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[])
                WITH ORDINALITY
                AS new (block, "txId", "eventIndex", "txIndex", "commandId", name, aggregates,
                        reason, payload, at, number)
           ORDER BY new.number
           ON CONFLICT ON CONSTRAINT "EventDLQ_event_key" DO UPDATE
           SET state = 'HELD', "resolvedAt" = NULL, aggregates = EXCLUDED.aggregates,
               reason = EXCLUDED.reason
           WHERE "EventDLQ".state = 'REPLAYED' OR "EventDLQ".reason <> EXCLUDED.reason"#,
        channel,
        now,
        &blocks,
        &tx_ids as &[&str],
        &event_indexes,
        &tx_indexes,
        &command_ids as &[&str],
        &names as &[Option<&str>],
        &aggregates,
        &reasons as &[&str],
        &payloads as &[&str],
        &times,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns dead letters in the order of the chain: the next ones after a place, up to a block.
pub(crate) async fn held_after(
    conn: &mut PgConnection,
    channel: &str,
    (block, tx_index, event_index): (i64, i32, i32),
    last_block: i64,
    limit: i64,
) -> Result<Vec<HeldRow>, sqlx::Error> {
    query_as!(
        HeldRow,
        r#"SELECT "deadEventId" AS dead_event_id, "blockNumber" AS block_number, "txId" AS tx_id,
                  "txIndex" AS tx_index, "eventIndex" AS event_index, "commandId" AS command_id,
                  payload::text AS "payload!", "ledgerAt" AS ledger_at
           FROM "EventDLQ"
           WHERE channel = $1 AND state = 'HELD' AND "blockNumber" <= $5
             AND ("blockNumber", "txIndex", "eventIndex") > ($2, $3, $4)
           ORDER BY "blockNumber", "txIndex", "eventIndex" LIMIT $6"#,
        channel,
        block,
        tx_index,
        event_index,
        last_block,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns a dead letter, or `None` if there is none with this id or it was replayed.
pub(crate) async fn held_one(
    conn: &mut PgConnection,
    channel: &str,
    dead_event_id: i64,
) -> Result<Option<HeldRow>, sqlx::Error> {
    query_as!(
        HeldRow,
        r#"SELECT "deadEventId" AS dead_event_id, "blockNumber" AS block_number, "txId" AS tx_id,
                  "txIndex" AS tx_index, "eventIndex" AS event_index, "commandId" AS command_id,
                  payload::text AS "payload!", "ledgerAt" AS ledger_at
           FROM "EventDLQ" WHERE channel = $1 AND "deadEventId" = $2 AND state = 'HELD'"#,
        channel,
        dead_event_id,
    )
    .fetch_optional(conn)
    .await
}

/// Marks dead letters as applied.
pub(crate) async fn resolve(
    conn: &mut PgConnection,
    dead_event_ids: &[i64],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "EventDLQ" SET state = 'REPLAYED', "resolvedAt" = $2
           WHERE "deadEventId" = ANY($1) AND state = 'HELD'"#,
        dead_event_ids,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks dead letters of some blocks whose events were applied when the chain was read again.
pub(crate) async fn resolve_applied(
    conn: &mut PgConnection,
    channel: &str,
    first_block: i64,
    last_block: i64,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "EventDLQ" d SET state = 'REPLAYED', "resolvedAt" = $4
           FROM "EventLog" l
           WHERE d.channel = $1 AND d.state = 'HELD' AND d."blockNumber" BETWEEN $2 AND $3
             AND l.channel = $1 AND l."blockNumber" = d."blockNumber" AND l."txId" = d."txId"
             AND l."eventIndex" = d."eventIndex""#,
        channel,
        first_block,
        last_block,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores why dead letters still cannot be applied, if the reason has changed.
pub(crate) async fn update_reason(
    conn: &mut PgConnection,
    dead_event_ids: &[i64],
    reasons: &[&str],
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "EventDLQ" d SET reason = new.reason
           FROM unnest($1::bigint[], $2::text[]) AS new (id, reason)
           WHERE d."deadEventId" = new.id AND d.state = 'HELD' AND d.reason <> new.reason"#,
        dead_event_ids,
        reasons as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns whether a release without places has held events back behind others.
pub(crate) async fn any_held_behind(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "EventDLQ"
                          WHERE channel = $1 AND state = 'HELD'
                            AND reason LIKE 'held behind an earlier event of %') AS "any!""#,
        channel,
    )
    .fetch_one(conn)
    .await
}

/// Counts the dead letters, using an index that has no other rows.
pub(crate) async fn count_held(conn: &mut PgConnection, channel: &str) -> Result<i64, sqlx::Error> {
    query_scalar!(
        r#"SELECT count(*) AS "held!" FROM "EventDLQ" WHERE channel = $1 AND state = 'HELD'"#,
        channel,
    )
    .fetch_one(conn)
    .await
}

/// Returns whether a dead letter names one of these accounts.
pub(crate) async fn names_account(
    conn: &mut PgConnection,
    channel: &str,
    aggregates: &[String],
) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "EventDLQ"
                          WHERE channel = $1 AND state = 'HELD' AND aggregates && $2)
               AS "named!""#,
        channel,
        aggregates,
    )
    .fetch_one(conn)
    .await
}
