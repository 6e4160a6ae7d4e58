//! SQL of administrators. Called by the parent module.

use gx_auth::GivenEmail;
use gx_db::{AdminId, PgConnection};
use time::OffsetDateTime;

/// An administrator without the password hash.
pub(crate) struct AdministratorRow {
    pub(crate) admin_id: AdminId,
    pub(crate) email: String,
    pub(crate) display_name: String,
    pub(crate) role: String,
    pub(crate) email_verified: bool,
}

/// The facts of an administrator that a login checks.
pub(crate) struct Account {
    pub(crate) row: AdministratorRow,
    pub(crate) password_hash: String,
    pub(crate) is_locked: bool,
}

/// Returns whether any administrator exists.
pub(crate) async fn exist(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM "AdminUser") AS "exist!""#)
        .fetch_one(conn)
        .await
}

/// Adds an administrator. A violated unique constraint means that the e-mail address is taken.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    row: &AdministratorRow,
    password_hash: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "AdminUser" ("adminId", email, "displayName", role, "passwordHash",
               "createdAt", "updatedAt")
           VALUES ($1, $2, $3, $4, $5, $6, $6)"#,
        row.admin_id.as_str(),
        row.email,
        row.display_name,
        row.role,
        password_hash,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the administrator with this address, or `None` if there is none. An address exactly as
/// it was typed comes first.
pub(crate) async fn by_email(
    conn: &mut PgConnection,
    email: &GivenEmail,
) -> Result<Option<Account>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT "adminId" AS admin_id, email, "displayName" AS display_name, role,
                  "passwordHash" AS password_hash, "isLocked" AS is_locked,
                  "emailVerifiedAt" IS NOT NULL AS "email_verified!"
           FROM "AdminUser" WHERE email IN ($1, $2) ORDER BY (email = $2) DESC LIMIT 1"#,
        email.form(),
        email.typed(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Account {
        row: AdministratorRow {
            admin_id: row.admin_id.into(),
            email: row.email,
            display_name: row.display_name,
            role: row.role,
            email_verified: row.email_verified,
        },
        password_hash: row.password_hash,
        is_locked: row.is_locked,
    }))
}

/// Locks the row of an account until the transaction ends. Returns `false` if the account was
/// locked or its password was changed since the password was compared.
pub(crate) async fn lock_if_unchanged(
    conn: &mut PgConnection,
    admin_id: &AdminId,
    password_hash: &str,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT "adminId" FROM "AdminUser"
           WHERE "adminId" = $1 AND "passwordHash" = $2 AND NOT "isLocked"
           FOR NO KEY UPDATE"#,
        admin_id.as_str(),
        password_hash,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Locks the row of an account until the transaction ends and returns it. `None` if there is none,
/// or it is locked against signing in.
pub(crate) async fn lock_unlocked(
    conn: &mut PgConnection,
    admin_id: &AdminId,
) -> Result<Option<AdministratorRow>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT email, "displayName" AS display_name, role,
                  "emailVerifiedAt" IS NOT NULL AS "email_verified!"
           FROM "AdminUser" WHERE "adminId" = $1 AND NOT "isLocked"
           FOR NO KEY UPDATE"#,
        admin_id.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| AdministratorRow {
        admin_id: admin_id.clone(),
        email: row.email,
        display_name: row.display_name,
        role: row.role,
        email_verified: row.email_verified,
    }))
}

/// Replaces the hash of a password by one with better parameters, unless the password has changed.
pub(crate) async fn replace_hash(
    conn: &mut PgConnection,
    admin_id: &AdminId,
    old: &str,
    new: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "AdminUser" SET "passwordHash" = $3
           WHERE "adminId" = $1 AND "passwordHash" = $2"#,
        admin_id.as_str(),
        old,
        new,
    )
    .execute(conn)
    .await?;
    Ok(())
}
