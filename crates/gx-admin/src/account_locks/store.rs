//! SQL of account locks. Called by the parent module.

use gx_db::{AdminId, PgConnection, ProfileId};
use time::OffsetDateTime;

use super::LockReason;

/// Returns whether an account is locked, and locks its row until the transaction ends. `None` if
/// there is no such account.
pub(crate) async fn is_locked(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "isLocked" FROM "UserProfile" WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Locks an account.
pub(crate) async fn lock_account(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    by: &AdminId,
    reason: &LockReason<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET "isLocked" = true, "lockReason" = $3, "lockNotes" = $4,
               "lockedBy" = $2, "lockedAt" = $5, "updatedAt" = $5
           WHERE "profileId" = $1"#,
        profile_id.as_str(),
        by.as_str(),
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
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET "isLocked" = false, "lockReason" = NULL, "lockNotes" = NULL,
               "lockedBy" = NULL, "lockedAt" = NULL, "updatedAt" = $2
           WHERE "profileId" = $1"#,
        profile_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
