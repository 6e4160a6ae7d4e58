//! SQL of suspensions and legal holds. Called by the parent module.

use gx_db::{AdminId, Parsed, PgConnection, ProfileId};
use gx_model::AccountStatus;
use time::OffsetDateTime;

/// The facts of an account that a change of its state checks.
pub(super) struct Account {
    pub(super) status: AccountStatus,
    pub(super) is_on_hold: bool,
}

/// Locks the account's row until the transaction ends and returns its facts, or `None` if there is
/// no such account.
pub(super) async fn lock_account(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"SELECT status AS "status: Parsed<AccountStatus>",
                  "legalHoldAt" IS NOT NULL AS "is_on_hold!"
           FROM "UserProfile" WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns whether the ledger has frozen the person. `false` for a person who is not there.
pub(super) async fn is_frozen(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM "LedgerUser" WHERE "profileId" = $1 AND "isFrozen")
               AS "is_frozen!""#,
        profile_id.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Sets the account's status.
pub(super) async fn set_status(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    status: AccountStatus,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET status = $2, "updatedAt" = $3 WHERE "profileId" = $1"#,
        profile_id.as_str(),
        status.name(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts an account on legal hold by this administrator, or ends the hold if there is none.
pub(super) async fn set_legal_hold(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    by: Option<&AdminId>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile"
           SET "legalHoldBy" = $2,
               "legalHoldAt" = CASE WHEN $2::text IS NOT NULL THEN $3::timestamptz END,
               "updatedAt" = $3
           WHERE "profileId" = $1"#,
        profile_id.as_str(),
        by.map(AdminId::as_str),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
