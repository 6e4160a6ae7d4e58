//! SQL of commands whose declared result must be checked on the ledger, for the parent module.

use gx_db::{PgConnection, StoredCommandId};
use gx_model::CommandStatus;
use sqlx::{query_as, query_scalar};
use time::OffsetDateTime;

use super::Unverified;

/// Returns the commands that took effect and whose result must be checked.
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

/// Ends such a command. Returns its aggregate key, or `None` if it was ended before.
pub(crate) async fn end(
    conn: &mut PgConnection,
    command_id: &StoredCommandId,
    status: CommandStatus,
    unmet: Option<&str>,
    now: OffsetDateTime,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "OutboxCommand"
           SET status = $2, "lastError" = coalesce($3, "lastError"), "settledAt" = $4,
               "updatedAt" = $4
           WHERE "commandId" = $1 AND status = 'SUBMITTED' AND outcome IS NOT NULL
           RETURNING "aggregateKey""#,
        command_id.as_str(),
        status.name(),
        unmet,
        now,
    )
    .fetch_optional(conn)
    .await
}
