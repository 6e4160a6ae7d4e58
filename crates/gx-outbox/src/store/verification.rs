//! SQL of commands whose declared result is looked for on the ledger.

use gx_db::PgConnection;
use sqlx::{query_as, query_scalar};
use time::OffsetDateTime;

use crate::verification::Unverified;

/// The commands that took effect by the ledger's word and wait for somebody to look.
pub(crate) async fn waiting(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Unverified>, sqlx::Error> {
    query_as!(
        Unverified,
        r#"SELECT "commandId" AS command_id, kind, payload, "blockNumber" AS "block_number!"
           FROM "OutboxCommand"
           WHERE status = 'SUBMITTED' AND outcome IS NOT NULL
           ORDER BY number LIMIT $1"#,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Ends such a command; its aggregate, unless somebody else has ended it.
pub(crate) async fn end(
    conn: &mut PgConnection,
    command_id: &str,
    status: &str,
    unmet: Option<&str>,
    now: OffsetDateTime,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "OutboxCommand"
           SET status = $2, "lastError" = coalesce($3, "lastError"), "settledAt" = $4,
               "updatedAt" = $4
           WHERE "commandId" = $1 AND status = 'SUBMITTED' AND outcome IS NOT NULL
           RETURNING "aggregateKey""#,
        command_id,
        status,
        unmet,
        now,
    )
    .fetch_optional(conn)
    .await
}
