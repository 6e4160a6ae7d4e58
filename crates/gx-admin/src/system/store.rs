//! SQL of pauses and treasuries. Called by the parent module.

use gx_db::{Parsed, PgConnection};
use gx_model::CommandId;

/// A command that is not settled.
pub(super) struct Unsettled {
    pub(super) kind: String,
    pub(super) command_id: Parsed<CommandId>,
}

/// Makes other requests about the same aggregate wait until the transaction ends.
pub(super) async fn lock_aggregate(
    conn: &mut PgConnection,
    aggregate_key: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended('gx aggregate ' || $1, 0))"#,
        aggregate_key,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Returns the newest pause, resume or activation of an aggregate that is not settled, or `None` if
/// there is none.
pub(super) async fn unsettled(
    conn: &mut PgConnection,
    aggregate_key: &str,
) -> Result<Option<Unsettled>, sqlx::Error> {
    sqlx::query_as!(
        Unsettled,
        r#"SELECT kind, "commandId" AS "command_id: Parsed<CommandId>" FROM "OutboxCommand"
           WHERE "aggregateKey" = $1 AND "settledAt" IS NULL
             AND kind IN ('PAUSE_SYSTEM', 'RESUME_SYSTEM', 'ACTIVATE_TREASURY')
           ORDER BY number DESC LIMIT 1"#,
        aggregate_key,
    )
    .fetch_optional(conn)
    .await
}

/// Returns whether a treasury is locked, or `None` if the ledger does not have it.
pub(super) async fn is_treasury_locked(
    conn: &mut PgConnection,
    account_id: &str,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "isLocked" FROM "Wallet" WHERE "accountId" = $1 AND kind = 'TREASURY'"#,
        account_id,
    )
    .fetch_optional(conn)
    .await
}
