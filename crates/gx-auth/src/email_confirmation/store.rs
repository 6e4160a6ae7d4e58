//! SQL of confirmed and changed addresses.

use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::realm::Subject;

/// What a change of the address compares.
pub(super) struct StoredCredentials {
    /// The address under which failed sign-ins are counted.
    pub(super) mailbox: String,
    pub(super) password_hash: String,
}

pub(super) async fn credentials(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Option<StoredCredentials>, sqlx::Error> {
    match subject {
        Subject::User(id) => {
            sqlx::query_as!(
                StoredCredentials,
                r#"SELECT coalesce(mailbox, email) AS "mailbox!", "passwordHash" AS password_hash
                   FROM "UserProfile" WHERE "profileId" = $1"#,
                id.as_str(),
            )
            .fetch_optional(conn)
            .await
        }
        Subject::Admin(id) => {
            sqlx::query_as!(
                StoredCredentials,
                r#"SELECT email AS mailbox, "passwordHash" AS password_hash
                   FROM "AdminUser" WHERE "adminId" = $1"#,
                id.as_str(),
            )
            .fetch_optional(conn)
            .await
        }
    }
}

/// Sets the address of an account as confirmed, if it still is this one.
pub(super) async fn set_verified(
    conn: &mut PgConnection,
    subject: &Subject,
    address: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = match subject {
        Subject::User(id) => {
            sqlx::query!(
                r#"UPDATE "UserProfile" SET "emailVerifiedAt" = $3, "mustVerifyEmail" = false,
                       "updatedAt" = $3
                   WHERE "profileId" = $1 AND email = $2 AND "deletedAt" IS NULL"#,
                id.as_str(),
                address,
                now,
            )
            .execute(conn)
            .await?
        }
        Subject::Admin(id) => {
            sqlx::query!(
                r#"UPDATE "AdminUser" SET "emailVerifiedAt" = $3, "updatedAt" = $3
                   WHERE "adminId" = $1 AND email = $2"#,
                id.as_str(),
                address,
                now,
            )
            .execute(conn)
            .await?
        }
    };
    Ok(done.rows_affected() == 1)
}

/// Gives an account another address, which is confirmed. Returns `false` if the account is locked.
/// A violated unique constraint means that the address is taken.
pub(super) async fn set_email(
    conn: &mut PgConnection,
    subject: &Subject,
    address: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = match subject {
        Subject::User(id) => {
            sqlx::query!(
                r#"UPDATE "UserProfile" SET email = $2, mailbox = NULL, "emailVerifiedAt" = $3,
                       "mustVerifyEmail" = false, "updatedAt" = $3
                   WHERE "profileId" = $1 AND NOT "isLocked" AND "deletedAt" IS NULL"#,
                id.as_str(),
                address,
                now,
            )
            .execute(conn)
            .await?
        }
        Subject::Admin(id) => {
            sqlx::query!(
                r#"UPDATE "AdminUser" SET email = $2, "emailVerifiedAt" = $3, "updatedAt" = $3
                   WHERE "adminId" = $1 AND NOT "isLocked""#,
                id.as_str(),
                address,
                now,
            )
            .execute(conn)
            .await?
        }
    };
    Ok(done.rows_affected() == 1)
}
