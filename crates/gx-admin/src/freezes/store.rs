//! SQL of freezes. Called by the parent module.

use gx_db::{Parsed, PgConnection, ProfileId};
use gx_model::CommandId;

/// Whether a person's wallet is frozen, and the freeze or unfreeze that is not settled.
pub(super) struct FreezeState {
    pub(super) fabric_user_id: String,
    pub(super) is_frozen: bool,
    /// Kind of the freeze or unfreeze that is not settled; `pending_id` is its command id.
    pub(super) pending_kind: Option<String>,
    pub(super) pending_id: Option<Parsed<CommandId>>,
}

/// Locks the account's row and returns its id, or `None` if there is no account.
pub(super) async fn lock_account_row(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "profileId" FROM "UserProfile" WHERE "profileId" = $1 FOR NO KEY UPDATE"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns the state of the person's wallet, or `None` if the person is not on the ledger.
pub(super) async fn freeze_state(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<FreezeState>, sqlx::Error> {
    sqlx::query_as!(
        FreezeState,
        r#"SELECT u."fabricUserId" AS fabric_user_id, u."isFrozen" AS is_frozen,
                  pending.kind AS "pending_kind?",
                  pending."commandId" AS "pending_id?: Parsed<CommandId>"
           FROM "LedgerUser" u LEFT JOIN LATERAL (
               SELECT c.kind, c."commandId" FROM "OutboxCommand" c
               WHERE c."aggregateKey" = u."fabricUserId"
                 AND c.kind IN ('FREEZE_WALLET', 'UNFREEZE_WALLET')
                 AND c."settledAt" IS NULL
               ORDER BY c.number DESC LIMIT 1) pending ON true
           WHERE u."profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}
