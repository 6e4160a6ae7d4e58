//! SQL of the clock of a review. Called by the parent module.

use gx_db::{PgConnection, ProfileId};
use time::OffsetDateTime;

/// Stops the clock. Returns `false` if there is no clock that runs.
pub(super) async fn stop(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "UserProfile" SET "reviewStoppedAt" = $2
           WHERE "profileId" = $1 AND status = 'PENDING_ADMIN_APPROVAL'
             AND "reviewStoppedAt" IS NULL"#,
        profile_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves the begin of the wait by the time for which the clock was stopped. Returns `false` if it
/// was not stopped.
pub(super) async fn resume(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "UserProfile"
           SET "reviewSince" = coalesce("reviewSince", "createdAt")
                               + greatest($2 - "reviewStoppedAt", interval '0'),
               "reviewStoppedAt" = NULL
           WHERE "profileId" = $1 AND "reviewStoppedAt" IS NOT NULL"#,
        profile_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
