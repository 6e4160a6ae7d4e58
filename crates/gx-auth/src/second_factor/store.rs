//! SQL of second factors. The rows of people and of administrators are in one table; each statement
//! gets the owner as two ids, of which one is NULL.

use gx_db::PgConnection;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::key_ring::EncryptedValue;
use crate::realm::Subject;

/// The TOTP factor of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TotpState {
    /// Whether a sign-in needs a code.
    pub(super) enabled: bool,
    /// Number of recovery codes that are not used.
    pub(super) recovery_codes_left: i64,
}

/// The account that a factor belongs to: one of the two ids.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) profile_id: Option<&'a str>,
    pub(crate) admin_id: Option<&'a str>,
}

impl<'a> Owner<'a> {
    pub(crate) fn of(subject: &'a Subject) -> Self {
        match subject {
            Subject::User(id) => Self { profile_id: Some(id.as_str()), admin_id: None },
            Subject::Admin(id) => Self { profile_id: None, admin_id: Some(id.as_str()) },
        }
    }
}

/// A factor whose row is locked.
pub(super) struct Factor {
    pub(super) factor_id: String,
    pub(super) secret: EncryptedValue,
    /// Wrong codes since the last accepted one.
    pub(super) failures: i32,
    pub(super) last_failure_at: Option<OffsetDateTime>,
    /// Whether the factor is in force.
    pub(super) is_confirmed: bool,
}

/// The columns of an account that a change of its factor reads.
pub(super) struct Account {
    pub(super) email: String,
    /// The address under which failed sign-ins are counted.
    pub(super) mailbox: String,
    pub(super) password_hash: String,
}

pub(super) async fn account(
    conn: &mut PgConnection,
    owner: Owner<'_>,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"SELECT email AS "email!", coalesce(mailbox, email) AS "mailbox!",
                  "passwordHash" AS "password_hash!"
           FROM "UserProfile" WHERE "profileId" = $1
           UNION ALL
           SELECT email, email, "passwordHash" FROM "AdminUser" WHERE "adminId" = $2"#,
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_optional(conn)
    .await
}

/// Locks the account's row, so that changes of its factor follow each other. A session can be
/// inserted meanwhile.
pub(super) async fn lock_account(
    conn: &mut PgConnection,
    owner: Owner<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"SELECT 1 AS one FROM "UserProfile" WHERE "profileId" = $1 FOR NO KEY UPDATE"#,
        owner.profile_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    sqlx::query!(
        r#"SELECT 1 AS one FROM "AdminUser" WHERE "adminId" = $1 FOR NO KEY UPDATE"#,
        owner.admin_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

/// Locks the factor of the account until the transaction ends.
pub(super) async fn lock(
    conn: &mut PgConnection,
    owner: Owner<'_>,
) -> Result<Option<Factor>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT "factorId" AS factor_id, secret, "secretKeyVersion" AS key_version, failures,
                  "lastFailureAt" AS last_failure_at,
                  "confirmedAt" IS NOT NULL AS "is_confirmed!"
           FROM "TotpFactor" WHERE "profileId" = $1 OR "adminId" = $2 FOR UPDATE"#,
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Factor {
        factor_id: row.factor_id,
        secret: EncryptedValue { key_version: row.key_version, bytes: row.secret },
        failures: row.failures,
        last_failure_at: row.last_failure_at,
        is_confirmed: row.is_confirmed,
    }))
}

pub(super) async fn state(
    conn: &mut PgConnection,
    owner: Owner<'_>,
) -> Result<TotpState, sqlx::Error> {
    let state = sqlx::query_as!(
        TotpState,
        r#"SELECT true AS "enabled!",
                  (SELECT count(*) FROM "RecoveryCode" c WHERE c."factorId" = f."factorId")
                      AS "recovery_codes_left!"
           FROM "TotpFactor" f
           WHERE ("profileId" = $1 OR "adminId" = $2) AND "confirmedAt" IS NOT NULL"#,
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(state.unwrap_or(TotpState { enabled: false, recovery_codes_left: 0 }))
}

/// Stores a factor that is not in force.
pub(super) async fn insert(
    conn: &mut PgConnection,
    owner: Owner<'_>,
    factor_id: &str,
    secret: &EncryptedValue,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "TotpFactor" ("factorId", "profileId", "adminId", secret,
               "secretKeyVersion", "createdAt")
           VALUES ($1, $2, $3, $4, $5, $6)"#,
        factor_id,
        owner.profile_id,
        owner.admin_id,
        secret.bytes,
        secret.key_version,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts a factor in force. Returns `false` if the step's code was accepted before.
pub(super) async fn confirm(
    conn: &mut PgConnection,
    factor_id: &str,
    step: i64,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "TotpFactor" SET "confirmedAt" = $3, "lastStep" = $2
           WHERE "factorId" = $1 AND "confirmedAt" IS NULL AND "lastStep" < $2"#,
        factor_id,
        step,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Accepts the code of a time step. Returns `false` if a code of this or a later step was accepted
/// before.
pub(super) async fn accept_step(
    conn: &mut PgConnection,
    factor_id: &str,
    step: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "TotpFactor" SET "lastStep" = $2, failures = 0, "lastFailureAt" = NULL
           WHERE "factorId" = $1 AND "lastStep" < $2"#,
        factor_id,
        step,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn count_failure(
    conn: &mut PgConnection,
    factor_id: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "TotpFactor" SET failures = failures + 1, "lastFailureAt" = $2
           WHERE "factorId" = $1"#,
        factor_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn forget_failures(
    conn: &mut PgConnection,
    factor_id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "TotpFactor" SET failures = 0, "lastFailureAt" = NULL WHERE "factorId" = $1"#,
        factor_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Uses up a recovery code. Returns `false` if the factor has no such code.
pub(super) async fn use_recovery_code(
    conn: &mut PgConnection,
    factor_id: &str,
    hash: &[u8],
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"DELETE FROM "RecoveryCode" WHERE "factorId" = $1 AND hash = $2"#,
        factor_id,
        hash,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces all recovery codes of a factor.
pub(super) async fn replace_recovery_codes(
    conn: &mut PgConnection,
    factor_id: &str,
    hashes: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"DELETE FROM "RecoveryCode" WHERE "factorId" = $1"#, factor_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        r#"INSERT INTO "RecoveryCode" ("factorId", hash)
           SELECT $1, hash FROM unnest($2::bytea[]) AS given (hash)"#,
        factor_id,
        hashes,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the account's factor and its recovery codes. Returns whether it was in force, or `None`
/// if there was no factor.
pub(super) async fn delete(
    conn: &mut PgConnection,
    owner: Owner<'_>,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"DELETE FROM "TotpFactor" WHERE "profileId" = $1 OR "adminId" = $2
           RETURNING "confirmedAt" IS NOT NULL AS "was_confirmed!""#,
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_optional(conn)
    .await
}
