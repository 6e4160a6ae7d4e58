//! SQL of login.

use gx_db::PgConnection;

use crate::profile::UserSummary;

/// What login needs of an account.
pub(crate) struct Account {
    pub(crate) user: UserSummary,
    pub(crate) password_hash: String,
    pub(crate) is_locked: bool,
    pub(crate) denial_finality: Option<String>,
}

pub(crate) async fn by_email(
    conn: &mut PgConnection,
    email: &str,
) -> Result<Option<Account>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT "profileId" AS profile_id, email, "firstName" AS first_name,
                  "lastName" AS last_name, status, "createdAt" AS created_at,
                  "passwordHash" AS password_hash, "isLocked" AS is_locked,
                  "denialFinality" AS denial_finality
           FROM "UserProfile" WHERE email = $1 AND "deletedAt" IS NULL"#,
        email,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Account {
        user: UserSummary {
            profile_id: row.profile_id,
            email: row.email,
            first_name: row.first_name,
            last_name: row.last_name,
            status: row.status,
            created_at: row.created_at,
        },
        password_hash: row.password_hash,
        is_locked: row.is_locked,
        denial_finality: row.denial_finality,
    }))
}

/// Stores a hash of the same password with better parameters, unless it was changed since.
pub(crate) async fn replace_hash(
    conn: &mut PgConnection,
    profile_id: &str,
    old: &str,
    new: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET "passwordHash" = $3
           WHERE "profileId" = $1 AND "passwordHash" = $2"#,
        profile_id,
        old,
        new,
    )
    .execute(conn)
    .await?;
    Ok(())
}
