//! SQL of password resets.

use gx_db::{AdminId, PgConnection};
use time::OffsetDateTime;

use crate::realm::Subject;

/// What the rules for passwords compare a new one with.
pub(super) struct ResetAccount {
    pub(super) mailbox: String,
    pub(super) names: Vec<String>,
}

pub(super) async fn account(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Option<ResetAccount>, sqlx::Error> {
    match subject {
        Subject::User(id) => {
            sqlx::query_as!(
                ResetAccount,
                r#"SELECT coalesce(mailbox, email) AS "mailbox!",
                          ARRAY["firstName", coalesce("lastName", '')] AS "names!"
                   FROM "UserProfile" WHERE "profileId" = $1"#,
                id.as_str(),
            )
            .fetch_optional(conn)
            .await
        }
        Subject::Admin(id) => {
            sqlx::query_as!(
                ResetAccount,
                r#"SELECT email AS mailbox, ARRAY["displayName"] AS "names!"
                   FROM "AdminUser" WHERE "adminId" = $1"#,
                id.as_str(),
            )
            .fetch_optional(conn)
            .await
        }
    }
}

/// Replaces the password of an account that is not locked and still has the address that the mail
/// went to, which is confirmed.
pub(super) async fn set_password(
    conn: &mut PgConnection,
    subject: &Subject,
    password_hash: &str,
    address: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = match subject {
        Subject::User(id) => {
            sqlx::query!(
                r#"UPDATE "UserProfile" SET "passwordHash" = $2, "updatedAt" = $4,
                       "emailVerifiedAt" = coalesce("emailVerifiedAt", $4),
                       "mustVerifyEmail" = false
                   WHERE "profileId" = $1 AND email = $3 AND NOT "isLocked"
                     AND "deletedAt" IS NULL"#,
                id.as_str(),
                password_hash,
                address,
                now,
            )
            .execute(conn)
            .await?
        }
        Subject::Admin(id) => {
            sqlx::query!(
                r#"UPDATE "AdminUser" SET "passwordHash" = $2, "updatedAt" = $4,
                       "emailVerifiedAt" = coalesce("emailVerifiedAt", $4)
                   WHERE "adminId" = $1 AND email = $3 AND NOT "isLocked""#,
                id.as_str(),
                password_hash,
                address,
                now,
            )
            .execute(conn)
            .await?
        }
    };
    Ok(done.rows_affected() == 1)
}

/// Removes the invitation of an administrator. Returns whether there was one.
pub(super) async fn end_invitation(
    conn: &mut PgConnection,
    admin_id: &AdminId,
) -> Result<bool, sqlx::Error> {
    let id = admin_id.as_str();
    let done = sqlx::query!(r#"DELETE FROM "AdminInvitation" WHERE "adminId" = $1"#, id)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}
