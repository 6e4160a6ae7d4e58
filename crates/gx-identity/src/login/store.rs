//! SQL of logins. Called by the parent module.

use gx_auth::GivenEmail;
use gx_db::{Named, PgConnection, ProfileId};
use gx_model::{AccountStatus, DenialFinality};
use time::OffsetDateTime;

use crate::profile::UserSummary;

/// The facts of an account that a login checks.
pub(crate) struct Account {
    pub(crate) user: UserSummary,
    pub(crate) password_hash: String,
    pub(crate) is_locked: bool,
    /// Registered by mail, and the address is not confirmed yet.
    pub(crate) must_verify_email: bool,
    pub(crate) denial_finality: Option<Named<DenialFinality>>,
}

/// The columns of an account.
struct AccountRow {
    profile_id: ProfileId,
    email: String,
    first_name: String,
    last_name: Option<String>,
    status: Named<AccountStatus>,
    created_at: OffsetDateTime,
    password_hash: String,
    is_locked: bool,
    must_verify_email: bool,
    email_verified: bool,
    denial_finality: Option<Named<DenialFinality>>,
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        let user = UserSummary {
            profile_id: row.profile_id,
            email: row.email,
            first_name: row.first_name,
            last_name: row.last_name,
            status: row.status,
            email_verified: row.email_verified,
            created_at: row.created_at,
        };
        Self {
            user,
            password_hash: row.password_hash,
            is_locked: row.is_locked,
            must_verify_email: row.must_verify_email,
            denial_finality: row.denial_finality,
        }
    }
}

/// Returns the account with this mailbox, or `None` if there is none. Two accounts of earlier
/// releases may have one mailbox; the account that has the address exactly as it was typed comes
/// first then.
pub(crate) async fn by_email(
    conn: &mut PgConnection,
    email: &GivenEmail,
) -> Result<Option<Account>, sqlx::Error> {
    let row = sqlx::query_as!(
        AccountRow,
        r#"SELECT "profileId" AS profile_id, email, "firstName" AS first_name,
                  nullif("lastName", '') AS last_name, status AS "status: Named<AccountStatus>",
                  "createdAt" AS created_at, "passwordHash" AS password_hash,
                  "isLocked" AS is_locked, "mustVerifyEmail" AS must_verify_email,
                  "emailVerifiedAt" IS NOT NULL AS "email_verified!",
                  "denialFinality" AS "denial_finality: Named<DenialFinality>"
           FROM "UserProfile"
           WHERE (coalesce(mailbox, email) = $1 OR email = $2) AND "deletedAt" IS NULL
           ORDER BY (email = $2) DESC LIMIT 1"#,
        email.form(),
        email.typed(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Account::from))
}

/// Locks the row of an account until the transaction ends and returns it, or `None` if there is
/// none.
pub(crate) async fn lock_by_id(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<Account>, sqlx::Error> {
    let row = sqlx::query_as!(
        AccountRow,
        r#"SELECT "profileId" AS profile_id, email, "firstName" AS first_name,
                  nullif("lastName", '') AS last_name, status AS "status: Named<AccountStatus>",
                  "createdAt" AS created_at, "passwordHash" AS password_hash,
                  "isLocked" AS is_locked, "mustVerifyEmail" AS must_verify_email,
                  "emailVerifiedAt" IS NOT NULL AS "email_verified!",
                  "denialFinality" AS "denial_finality: Named<DenialFinality>"
           FROM "UserProfile" WHERE "profileId" = $1 AND "deletedAt" IS NULL
           FOR NO KEY UPDATE"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Account::from))
}

/// Replaces the hash of a password by one with better parameters, unless the password has changed.
pub(crate) async fn replace_hash(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    old: &str,
    new: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "UserProfile" SET "passwordHash" = $3
           WHERE "profileId" = $1 AND "passwordHash" = $2"#,
        profile_id.as_str(),
        old,
        new,
    )
    .execute(conn)
    .await?;
    Ok(())
}
