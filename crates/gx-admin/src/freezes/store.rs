//! SQL of freezes.

use gx_db::PgConnection;

/// How a person stands on the ledger, and what is on its way there.
pub(super) struct Standing {
    pub(super) fabric_user_id: String,
    pub(super) is_frozen: bool,
    /// Kind and id of the freezing command that is not settled.
    pub(super) pending_kind: Option<String>,
    pub(super) pending_id: Option<String>,
}

/// The account's row, locked. `None` when there is none.
pub(super) async fn lock(
    conn: &mut PgConnection,
    profile_id: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "profileId" FROM "UserProfile" WHERE "profileId" = $1 FOR NO KEY UPDATE"#,
        profile_id,
    )
    .fetch_optional(conn)
    .await
}

/// `None` when the person is not on the ledger.
pub(super) async fn standing(
    conn: &mut PgConnection,
    profile_id: &str,
) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"SELECT u."fabricUserId" AS fabric_user_id, u."isFrozen" AS is_frozen,
                  pending.kind AS "pending_kind?", pending."commandId" AS "pending_id?"
           FROM "LedgerUser" u LEFT JOIN LATERAL (
               SELECT c.kind, c."commandId" FROM "OutboxCommand" c
               WHERE c."aggregateKey" = u."fabricUserId"
                 AND c.kind IN ('FREEZE_WALLET', 'UNFREEZE_WALLET')
                 AND c."settledAt" IS NULL
               ORDER BY c.number DESC LIMIT 1) pending ON true
           WHERE u."profileId" = $1"#,
        profile_id,
    )
    .fetch_optional(conn)
    .await
}
