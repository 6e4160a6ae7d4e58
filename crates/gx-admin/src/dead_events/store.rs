//! SQL that reads dead letters. Called by the parent module and its routes. Only the projector
//! writes dead letters.

use gx_db::{Named, PgConnection};
use serde_json::Value;

use super::{DeadEvent, DeadEventFilter, DeadEventState};

/// Returns dead letters that match a filter, the newest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &DeadEventFilter<'_>,
    limit: i64,
) -> Result<Vec<DeadEvent>, sqlx::Error> {
    sqlx::query_as!(
        DeadEvent,
        r#"SELECT "deadEventId" AS dead_event_id, channel, "blockNumber" AS block_number,
                  "txId" AS tx_id, "eventIndex" AS event_index, "commandId" AS command_id,
                  "eventName" AS event_name, aggregates, reason,
                  state AS "state: Named<DeadEventState>",
                  "createdAt" AS created_at, "resolvedAt" AS resolved_at
           FROM "EventDLQ"
           WHERE ($1::text IS NULL OR state = $1)
             AND ($2::text IS NULL OR "eventName" = $2)
             AND ($3::text IS NULL OR aggregates @> ARRAY[$3])
             AND ($4::bigint IS NULL OR "deadEventId" < $4)
           ORDER BY "deadEventId" DESC LIMIT $5"#,
        filter.state.map(|state| state.name()),
        filter.event_name,
        filter.aggregate,
        filter.below,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns one dead letter, or `None` if there is none with this id.
pub(crate) async fn get(
    conn: &mut PgConnection,
    dead_event_id: i64,
) -> Result<Option<DeadEvent>, sqlx::Error> {
    sqlx::query_as!(
        DeadEvent,
        r#"SELECT "deadEventId" AS dead_event_id, channel, "blockNumber" AS block_number,
                  "txId" AS tx_id, "eventIndex" AS event_index, "commandId" AS command_id,
                  "eventName" AS event_name, aggregates, reason,
                  state AS "state: Named<DeadEventState>",
                  "createdAt" AS created_at, "resolvedAt" AS resolved_at
           FROM "EventDLQ" WHERE "deadEventId" = $1"#,
        dead_event_id,
    )
    .fetch_optional(conn)
    .await
}

/// Returns the payload of a dead letter as it is in the block, or `None` if there is no such one.
pub(crate) async fn payload(
    conn: &mut PgConnection,
    dead_event_id: i64,
) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT payload FROM "EventDLQ" WHERE "deadEventId" = $1"#,
        dead_event_id,
    )
    .fetch_optional(conn)
    .await
}
