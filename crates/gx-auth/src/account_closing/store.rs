//! SQL of closings. Called by the parent module.

use gx_db::{Parsed, PgConnection, ProfileId};
use gx_model::AccountStatus;
use time::OffsetDateTime;

/// The money of an account, and whether a command may still move some.
pub(super) struct Holdings {
    /// Balance in Qirat, 0 for a person who is not on the ledger.
    pub(super) balance: i64,
    pub(super) has_unsettled: bool,
}

/// Locks the account's row until the transaction ends and returns the status, or `None` if there is
/// no such account.
pub(super) async fn lock_account(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<AccountStatus>, sqlx::Error> {
    let status = sqlx::query_scalar!(
        r#"SELECT status AS "status: Parsed<AccountStatus>" FROM "UserProfile"
           WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    );
    Ok(status.fetch_optional(conn).await?.map(|Parsed(status)| status))
}

/// Waits for payments to the account that are being ordered, and makes later ones wait. Payments
/// have the same lock in shared mode.
pub(super) async fn lock_receiver(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended('gx receiver ' || "accountId", 0))
           FROM "Wallet" WHERE "profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

/// Returns balance and unsettled commands as of the same moment: a block takes a payment from the
/// one and adds it to the other at once. Commands to the account are searched among all commands
/// that are not settled, which is an index of its own.
pub(super) async fn holdings(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Holdings, sqlx::Error> {
    sqlx::query_as!(
        Holdings,
        r#"SELECT coalesce((SELECT w.balance FROM "Wallet" w WHERE w."profileId" = $1), 0)
                      AS "balance!",
                  (EXISTS (SELECT 1 FROM "OutboxCommand" c
                           WHERE c."profileId" = $1 AND c."settledAt" IS NULL)
                   OR EXISTS (SELECT 1 FROM "OutboxCommand" c
                              WHERE c."settledAt" IS NULL
                                AND (SELECT w."accountId" FROM "Wallet" w
                                     WHERE w."profileId" = $1) = ANY (c.touches)))
                      AS "has_unsettled!""#,
        profile_id.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Sets the account to closed.
pub(super) async fn close(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET status = 'CLOSED', "closedAt" = $2, "updatedAt" = $2
           WHERE "profileId" = $1"#,
        profile_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes the claim of a reviewer and the requests for documents.
pub(super) async fn end_review(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"DELETE FROM "ReviewClaim" WHERE "profileId" = $1"#, profile_id.as_str())
        .execute(&mut *conn)
        .await?;
    sqlx::query!(r#"DELETE FROM "DocumentRequest" WHERE "profileId" = $1"#, profile_id.as_str())
        .execute(conn)
        .await?;
    Ok(())
}
