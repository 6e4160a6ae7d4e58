//! SQL of account locks. Called by the parent module.

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::LockReason;

/// Returns whether an account is locked, and locks its row until the transaction ends. `None` if
/// there is no such account.
pub(crate) async fn is_locked(
    conn: &mut PgConnection,
    profile_id: &str,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "isLocked" FROM "UserProfile" WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id,
    )
    .fetch_optional(conn)
    .await
}

/// Locks an account.
pub(crate) async fn lock_account(
    conn: &mut PgConnection,
    profile_id: &str,
    by: &str,
    reason: &LockReason<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET "isLocked" = true, "lockReason" = $3, "lockNotes" = $4,
               "lockedBy" = $2, "lockedAt" = $5, "updatedAt" = $5
           WHERE "profileId" = $1"#,
        profile_id,
        by,
        reason.reason,
        reason.notes,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Unlocks an account.
pub(crate) async fn unlock_account(
    conn: &mut PgConnection,
    profile_id: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET "isLocked" = false, "lockReason" = NULL, "lockNotes" = NULL,
               "lockedBy" = NULL, "lockedAt" = NULL, "updatedAt" = $2
           WHERE "profileId" = $1"#,
        profile_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
