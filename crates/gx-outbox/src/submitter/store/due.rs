//! SQL with which the submitter finds due commands, for [`super::super::due`].

use gx_db::{PgConnection, StoredCommandId};
use serde_json::Value;
use sqlx::{query, query_as};
use time::OffsetDateTime;

/// A command that is due, unless it waits for an earlier one of its aggregate.
pub(crate) struct DueRow {
    pub(crate) number: i64,
    pub(crate) lane: i16,
    pub(crate) command_id: StoredCommandId,
    pub(crate) kind: String,
    pub(crate) payload: Value,
    pub(crate) signer_role: String,
    pub(crate) aggregate_key: String,
    pub(crate) touches: Vec<String>,
    pub(crate) give_up: Option<Value>,
    pub(crate) returned: bool,
    pub(crate) together: Option<String>,
    pub(crate) suspicion: Option<Value>,
    /// Number of the last unsettled command before it in its aggregate; negative if that command
    /// cannot be sent now.
    pub(crate) previous: Option<i64>,
}

/// Returns the first due commands of each lane in the order of their numbers: new ones from the
/// lane's mark on, and all that are PENDING again. Pairs are compared and ordered, here and in the
/// other statements of the outbox, so that no index but that of the pair can serve: by the number
/// alone, the whole outbox would be read.
pub(crate) async fn due(
    conn: &mut PgConnection,
    lanes: &[i16],
    marks: &[i64],
    per_lane: i64,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<DueRow>, sqlx::Error> {
    query_as!(
        DueRow,
        r#"SELECT c.number AS "number!", c.lane AS "lane!", c."commandId" AS "command_id!",
                  c.kind AS "kind!", c.payload AS "payload!", c."signerRole" AS "signer_role!",
                  c."aggregateKey" AS "aggregate_key!", c.touches AS "touches!",
                  c."giveUp" AS give_up, c.returned AS "returned!", c.together, c.suspicion,
                  (SELECT CASE WHEN h.status <> 'PENDING' OR h."nextAttemptAt" > $5
                               THEN - h.number ELSE h.number END
                   FROM "OutboxCommand" h
                   WHERE (h."aggregateKey", h.number) > (c."aggregateKey", 0)
                     AND (h."aggregateKey", h.number) < (c."aggregateKey", c.number)
                     AND h."settledAt" IS NULL
                   ORDER BY h."aggregateKey" DESC, h.number DESC LIMIT 1) AS previous
           FROM unnest($1::smallint[], $2::bigint[]) AS l (lane, mark)
           CROSS JOIN LATERAL (
               SELECT * FROM (
                   (SELECT * FROM "OutboxCommand"
                    WHERE (lane, number) >= (l.lane, l.mark) AND (lane, number) < (l.lane + 1, 0)
                      AND status = 'PENDING' AND NOT returned AND "nextAttemptAt" <= $5
                    ORDER BY lane, number LIMIT $3)
                   UNION ALL
                   (SELECT * FROM "OutboxCommand"
                    WHERE (lane, number) > (l.lane, 0) AND (lane, number) < (l.lane + 1, 0)
                      AND status = 'PENDING' AND returned AND "nextAttemptAt" <= $5
                    ORDER BY lane, number LIMIT $3)) AS pending
               ORDER BY number LIMIT $3) AS c
           ORDER BY c.number
           LIMIT $4"#,
        lanes,
        marks,
        per_lane,
        limit,
        now,
    )
    .fetch_all(conn)
    .await
}

/// Sets pending commands HELD that wait for an earlier command of their aggregate.
pub(crate) async fn hold(
    conn: &mut PgConnection,
    ids: &[StoredCommandId],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "OutboxCommand" c SET status = 'HELD', "updatedAt" = $2
           FROM unnest($1::text[]) AS named (id)
           WHERE c."commandId" = named.id AND c.status = 'PENDING' AND c."giveUp" IS NULL"#,
        ids as &[StoredCommandId],
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
