//! SQL of the erasure of people. Called by the parent module.

use gx_db::{PgConnection, ProfileId};
use time::OffsetDateTime;

/// The facts about an account that decide whether its person may be erased.
pub(super) struct ErasableAccount {
    pub(super) is_erased: bool,
    pub(super) is_closed: bool,
    pub(super) is_on_hold: bool,
}

/// Locks the account's row until the transaction ends. Returns `None` if there is no such account.
pub(super) async fn lock_account(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<ErasableAccount>, sqlx::Error> {
    sqlx::query_as!(
        ErasableAccount,
        r#"SELECT "deletedAt" IS NOT NULL AS "is_erased!", status = 'CLOSED' AS "is_closed!",
                  "legalHoldAt" IS NOT NULL AS "is_on_hold!"
           FROM "UserProfile" WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Locks and returns accounts that were closed until then, by the index of closed accounts. An
/// account that was closed before there was a time of closing counts from its last change.
pub(super) async fn lock_due(
    conn: &mut PgConnection,
    closed_until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ProfileId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "profileId" AS "id: ProfileId" FROM "UserProfile"
           WHERE status = 'CLOSED' AND "deletedAt" IS NULL AND "legalHoldAt" IS NULL
             AND coalesce("closedAt", "updatedAt") <= $1
           ORDER BY coalesce("closedAt", "updatedAt"), "profileId" LIMIT $2
           FOR UPDATE SKIP LOCKED"#,
        closed_until,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns the number of accounts that were closed until then and whose people may be erased.
pub(super) async fn count_due(
    conn: &mut PgConnection,
    closed_until: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM "UserProfile"
           WHERE status = 'CLOSED' AND "deletedAt" IS NULL AND "legalHoldAt" IS NULL
             AND coalesce("closedAt", "updatedAt") <= $1"#,
        closed_until,
    )
    .fetch_one(conn)
    .await
}

/// Replaces what the account's row has of the person. Columns that must have a value get one that
/// says nothing; the gender stays, because the column has no such value. A legal hold of a restored
/// database had ended when the erasure was recorded. Returns `false` if there is no such account,
/// or if it was erased before.
pub(super) async fn erase_account(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    erased_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "UserProfile"
           SET "firstName" = 'erased', "lastName" = '',
               email = 'erased-' || encode(sha256(convert_to("profileId", 'UTF8')), 'hex')
                       || '@erased.invalid',
               mailbox = NULL, "emailVerifiedAt" = NULL, "mustVerifyEmail" = false,
               "phoneNum" = NULL, "identityNum" = NULL, "biometricHash" = NULL,
               "passwordHash" = 'erased', "dateOfBirth" = '1900-01-01',
               "nationalityCountryCode" = NULL, "denialReason" = NULL,
               "lockReason" = NULL, "lockNotes" = NULL, "legalHoldAt" = NULL, "legalHoldBy" = NULL,
               status = 'CLOSED', "closedAt" = coalesce("closedAt", $2),
               "deletedAt" = $2, "updatedAt" = $3
           WHERE "profileId" = $1 AND "deletedAt" IS NULL"#,
        profile_id.as_str(),
        erased_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes the rows of a person that nothing refers to: sessions, devices, factors, passkeys, links
/// of mails, notices, kept answers, and the claim of a reviewer. Mails that wait expire by
/// themselves.
pub(super) async fn remove_rows(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<(), sqlx::Error> {
    let id = profile_id.as_str();
    sqlx::query!(r#"DELETE FROM "UserSession" WHERE "profileId" = $1"#, id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(r#"DELETE FROM "KnownDevice" WHERE "profileId" = $1"#, id)
        .execute(&mut *conn)
        .await?;
    // With the recovery codes.
    sqlx::query!(r#"DELETE FROM "TotpFactor" WHERE "profileId" = $1"#, id)
        .execute(&mut *conn)
        .await?;
    // With the passkeys and their challenges.
    sqlx::query!(r#"DELETE FROM "PasskeyUser" WHERE "profileId" = $1"#, id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(r#"DELETE FROM "MailToken" WHERE "profileId" = $1"#, id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(r#"DELETE FROM "Notification" WHERE "profileId" = $1"#, id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(r#"DELETE FROM "HttpIdempotency" WHERE principal = $1"#, id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(r#"DELETE FROM "ReviewClaim" WHERE "profileId" = $1"#, id).execute(conn).await?;
    Ok(())
}
