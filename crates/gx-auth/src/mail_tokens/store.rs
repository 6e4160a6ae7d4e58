//! SQL of the tokens of mails, and of the accounts that they are about.

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::TokenPurpose;
use crate::email::GivenEmail;
use crate::realm::{Realm, Subject};

/// A token to be stored.
pub(super) struct NewToken<'a> {
    pub(super) token_id: &'a str,
    pub(super) purpose: TokenPurpose,
    pub(super) owner: &'a Subject,
    pub(super) address: &'a str,
    pub(super) token_hash: [u8; 32],
    pub(super) code_hash: Option<[u8; 32]>,
    pub(super) now: OffsetDateTime,
    pub(super) code_expires_at: OffsetDateTime,
    pub(super) expires_at: OffsetDateTime,
}

/// A token that was used up.
#[derive(Clone, Debug)]
pub(crate) struct UsedToken {
    pub(crate) subject: Subject,
    pub(crate) purpose: String,
    /// The address that the mail went to.
    pub(crate) address: String,
}

/// The newest token of an account, locked.
pub(super) struct NewestToken {
    pub(super) token_id: String,
    pub(super) code_hash: Option<Vec<u8>>,
    pub(super) failures: i32,
}

/// An account as mails about its address and password see it.
pub(crate) struct MailedAccount {
    pub(crate) subject: Subject,
    pub(crate) email: String,
    pub(crate) is_verified: bool,
    pub(crate) is_locked: bool,
}

/// The facts of an account whose row is locked.
pub(crate) struct LockedAccount {
    pub(crate) email: String,
    pub(crate) password_hash: String,
    pub(crate) is_locked: bool,
    pub(crate) is_verified: bool,
    /// Registered by mail, and the address is not confirmed yet.
    pub(crate) must_verify_email: bool,
}

/// The columns of a used token.
struct UsedRow {
    profile_id: Option<String>,
    admin_id: Option<String>,
    purpose: String,
    address: String,
}

impl UsedRow {
    fn token(self) -> Option<UsedToken> {
        let subject = match (self.profile_id, self.admin_id) {
            (Some(id), _) => Subject::User(id.into()),
            (None, Some(id)) => Subject::Admin(id.into()),
            (None, None) => return None,
        };
        Some(UsedToken { subject, purpose: self.purpose, address: self.address })
    }
}

fn columns(subject: &Subject) -> (Option<&str>, Option<&str>) {
    match subject {
        Subject::User(id) => (Some(id.as_str()), None),
        Subject::Admin(id) => (None, Some(id.as_str())),
    }
}

pub(super) async fn insert(conn: &mut PgConnection, new: &NewToken<'_>) -> Result<(), sqlx::Error> {
    let (profile_id, admin_id) = columns(new.owner);
    sqlx::query!(
        r#"INSERT INTO "MailToken" ("tokenId", purpose, "profileId", "adminId", address,
               "tokenHash", "codeHash", "createdAt", "codeExpiresAt", "expiresAt")
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"#,
        new.token_id,
        new.purpose.name(),
        profile_id,
        admin_id,
        new.address,
        &new.token_hash[..],
        new.code_hash.as_ref().map(|hash| &hash[..]),
        new.now,
        new.code_expires_at,
        new.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets the end of an administrator's invitation. Returns `false` if there is none.
pub(super) async fn extend_invitation(
    conn: &mut PgConnection,
    subject: &Subject,
    expires_at: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let Subject::Admin(id) = subject else { return Ok(false) };
    let done = sqlx::query!(
        r#"UPDATE "AdminInvitation" SET "expiresAt" = $2 WHERE "adminId" = $1"#,
        id.as_str(),
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes a token that is valid and returns what it permits. Parallel uses wait for the first and
/// find nothing.
pub(super) async fn use_token(
    conn: &mut PgConnection,
    realm: Realm,
    token_hash: &[u8],
    purposes: &[String],
    now: OffsetDateTime,
) -> Result<Option<UsedToken>, sqlx::Error> {
    let row = sqlx::query_as!(
        UsedRow,
        r#"DELETE FROM "MailToken"
           WHERE "tokenHash" = $1 AND purpose = ANY($2) AND "expiresAt" > $3
             AND ("adminId" IS NOT NULL) = $4
           RETURNING "profileId" AS profile_id, "adminId" AS admin_id, purpose, address"#,
        token_hash,
        purposes,
        now,
        realm == Realm::Admin,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(UsedRow::token))
}

/// Returns the account of a valid token, without using it up.
pub(crate) async fn subject_of_token(
    conn: &mut PgConnection,
    realm: Realm,
    token_hash: &[u8],
    purposes: &[String],
    now: OffsetDateTime,
) -> Result<Option<Subject>, sqlx::Error> {
    let row = sqlx::query_as!(
        UsedRow,
        r#"SELECT "profileId" AS profile_id, "adminId" AS admin_id, purpose, address
           FROM "MailToken"
           WHERE "tokenHash" = $1 AND purpose = ANY($2) AND "expiresAt" > $3
             AND ("adminId" IS NOT NULL) = $4"#,
        token_hash,
        purposes,
        now,
        realm == Realm::Admin,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(UsedRow::token).map(|token| token.subject))
}

/// Locks the newest token of an account whose code is valid.
pub(super) async fn lock_newest(
    conn: &mut PgConnection,
    owner: &Subject,
    purposes: &[String],
    now: OffsetDateTime,
) -> Result<Option<NewestToken>, sqlx::Error> {
    match owner {
        Subject::User(id) => {
            sqlx::query_as!(
                NewestToken,
                r#"SELECT "tokenId" AS token_id, "codeHash" AS code_hash, failures
                   FROM "MailToken"
                   WHERE "profileId" = $1 AND purpose = ANY($2) AND "codeExpiresAt" > $3
                   ORDER BY "createdAt" DESC LIMIT 1 FOR UPDATE"#,
                id.as_str(),
                purposes,
                now,
            )
            .fetch_optional(conn)
            .await
        }
        Subject::Admin(id) => {
            sqlx::query_as!(
                NewestToken,
                r#"SELECT "tokenId" AS token_id, "codeHash" AS code_hash, failures
                   FROM "MailToken"
                   WHERE "adminId" = $1 AND purpose = ANY($2) AND "codeExpiresAt" > $3
                   ORDER BY "createdAt" DESC LIMIT 1 FOR UPDATE"#,
                id.as_str(),
                purposes,
                now,
            )
            .fetch_optional(conn)
            .await
        }
    }
}

pub(super) async fn use_by_id(
    conn: &mut PgConnection,
    token_id: &str,
) -> Result<Option<UsedToken>, sqlx::Error> {
    let row = sqlx::query_as!(
        UsedRow,
        r#"DELETE FROM "MailToken" WHERE "tokenId" = $1
           RETURNING "profileId" AS profile_id, "adminId" AS admin_id, purpose, address"#,
        token_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(UsedRow::token))
}

pub(super) async fn count_failure(
    conn: &mut PgConnection,
    token_id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "MailToken" SET failures = failures + 1 WHERE "tokenId" = $1"#,
        token_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes all tokens of an account with these purposes.
pub(crate) async fn delete_all(
    conn: &mut PgConnection,
    owner: &Subject,
    purposes: &[String],
) -> Result<(), sqlx::Error> {
    match owner {
        Subject::User(id) => {
            sqlx::query!(
                r#"DELETE FROM "MailToken" WHERE "profileId" = $1 AND purpose = ANY($2)"#,
                id.as_str(),
                purposes,
            )
            .execute(conn)
            .await?
        }
        Subject::Admin(id) => {
            sqlx::query!(
                r#"DELETE FROM "MailToken" WHERE "adminId" = $1 AND purpose = ANY($2)"#,
                id.as_str(),
                purposes,
            )
            .execute(conn)
            .await?
        }
    };
    Ok(())
}

/// Locks the row of an account until the transaction ends and returns its facts, or `None` if there
/// is no such account. Lock it before its tokens, so that two transactions do not wait for each
/// other.
pub(crate) async fn lock_account(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Option<LockedAccount>, sqlx::Error> {
    match subject {
        Subject::User(id) => {
            sqlx::query_as!(
                LockedAccount,
                r#"SELECT email, "passwordHash" AS password_hash, "isLocked" AS is_locked,
                          "emailVerifiedAt" IS NOT NULL AS "is_verified!",
                          "mustVerifyEmail" AS must_verify_email
                   FROM "UserProfile" WHERE "profileId" = $1 AND "deletedAt" IS NULL
                   FOR NO KEY UPDATE"#,
                id.as_str(),
            )
            .fetch_optional(conn)
            .await
        }
        Subject::Admin(id) => {
            sqlx::query_as!(
                LockedAccount,
                r#"SELECT email, "passwordHash" AS password_hash, "isLocked" AS is_locked,
                          "emailVerifiedAt" IS NOT NULL AS "is_verified!",
                          false AS "must_verify_email!"
                   FROM "AdminUser" WHERE "adminId" = $1
                   FOR NO KEY UPDATE"#,
                id.as_str(),
            )
            .fetch_optional(conn)
            .await
        }
    }
}

pub(crate) async fn account(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Option<MailedAccount>, sqlx::Error> {
    let row = match subject {
        Subject::User(id) => sqlx::query!(
            r#"SELECT email, "emailVerifiedAt" IS NOT NULL AS "is_verified!",
                      "isLocked" AS is_locked
               FROM "UserProfile" WHERE "profileId" = $1 AND "deletedAt" IS NULL"#,
            id.as_str(),
        )
        .fetch_optional(conn)
        .await?
        .map(|row| (row.email, row.is_verified, row.is_locked)),
        Subject::Admin(id) => sqlx::query!(
            r#"SELECT email, "emailVerifiedAt" IS NOT NULL AS "is_verified!",
                      "isLocked" AS is_locked
               FROM "AdminUser" WHERE "adminId" = $1"#,
            id.as_str(),
        )
        .fetch_optional(conn)
        .await?
        .map(|row| (row.email, row.is_verified, row.is_locked)),
    };
    Ok(row.map(|(email, is_verified, is_locked)| MailedAccount {
        subject: subject.clone(),
        email,
        is_verified,
        is_locked,
    }))
}

/// Returns the account that a sign-in with this address would find.
pub(crate) async fn account_by_email(
    conn: &mut PgConnection,
    realm: Realm,
    email: &GivenEmail,
) -> Result<Option<MailedAccount>, sqlx::Error> {
    Ok(match realm {
        Realm::User => sqlx::query!(
            r#"SELECT "profileId" AS id, email, "emailVerifiedAt" IS NOT NULL AS "is_verified!",
                      "isLocked" AS is_locked
               FROM "UserProfile"
               WHERE (coalesce(mailbox, email) = $1 OR email = $2) AND "deletedAt" IS NULL
               ORDER BY (email = $2) DESC LIMIT 1"#,
            email.form(),
            email.typed(),
        )
        .fetch_optional(conn)
        .await?
        .map(|row| MailedAccount {
            subject: Subject::User(row.id.into()),
            email: row.email,
            is_verified: row.is_verified,
            is_locked: row.is_locked,
        }),
        Realm::Admin => sqlx::query!(
            r#"SELECT "adminId" AS id, email, "emailVerifiedAt" IS NOT NULL AS "is_verified!",
                      "isLocked" AS is_locked
               FROM "AdminUser" WHERE email IN ($1, $2) ORDER BY (email = $2) DESC LIMIT 1"#,
            email.form(),
            email.typed(),
        )
        .fetch_optional(conn)
        .await?
        .map(|row| MailedAccount {
            subject: Subject::Admin(row.id.into()),
            email: row.email,
            is_verified: row.is_verified,
            is_locked: row.is_locked,
        }),
    })
}

/// Returns whether another account of the same realm has an address in its form.
pub(super) async fn is_taken(
    conn: &mut PgConnection,
    subject: &Subject,
    form: &str,
) -> Result<bool, sqlx::Error> {
    match subject {
        Subject::User(id) => {
            sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM "UserProfile"
                   WHERE coalesce(mailbox, email) = $1 AND "profileId" <> $2) AS "is_taken!""#,
                form,
                id.as_str(),
            )
            .fetch_one(conn)
            .await
        }
        Subject::Admin(id) => {
            sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM "AdminUser"
                   WHERE email = $1 AND "adminId" <> $2) AS "is_taken!""#,
                form,
                id.as_str(),
            )
            .fetch_one(conn)
            .await
        }
    }
}
