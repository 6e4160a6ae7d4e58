//! SQL of changes of passwords.

use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::realm::Subject;

/// The facts of an account that a change of its password checks.
pub(super) struct Account {
    pub(super) email: String,
    pub(super) names: Vec<String>,
    pub(super) password_hash: String,
}

pub(super) async fn account(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Account, sqlx::Error> {
    match subject {
        Subject::User(id) => {
            sqlx::query_as!(
                Account,
                r#"SELECT coalesce(mailbox, email) AS "email!", "passwordHash" AS password_hash,
                          ARRAY["firstName", coalesce("lastName", '')] AS "names!"
                   FROM "UserProfile" WHERE "profileId" = $1"#,
                id.as_str(),
            )
            .fetch_one(conn)
            .await
        }
        Subject::Admin(id) => {
            sqlx::query_as!(
                Account,
                r#"SELECT email, "passwordHash" AS password_hash,
                          ARRAY["displayName"] AS "names!"
                   FROM "AdminUser" WHERE "adminId" = $1"#,
                id.as_str(),
            )
            .fetch_one(conn)
            .await
        }
    }
}

/// Replaces a password's hash, and returns `false` if it is no longer `old`.
pub(super) async fn replace(
    conn: &mut PgConnection,
    subject: &Subject,
    old: &str,
    new: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = match subject {
        Subject::User(id) => {
            sqlx::query!(
                r#"UPDATE "UserProfile" SET "passwordHash" = $3, "updatedAt" = $4
                   WHERE "profileId" = $1 AND "passwordHash" = $2"#,
                id.as_str(),
                old,
                new,
                now,
            )
            .execute(conn)
            .await
        }
        Subject::Admin(id) => {
            sqlx::query!(
                r#"UPDATE "AdminUser" SET "passwordHash" = $3, "updatedAt" = $4
                   WHERE "adminId" = $1 AND "passwordHash" = $2"#,
                id.as_str(),
                old,
                new,
                now,
            )
            .execute(conn)
            .await
        }
    }?;
    Ok(done.rows_affected() == 1)
}
