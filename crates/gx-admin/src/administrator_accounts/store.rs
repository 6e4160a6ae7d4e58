//! SQL of administrators' accounts and invitations. Called by the parent module and its routes.

use gx_db::{AdminId, PgConnection};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::NewAccount;

/// An administrator in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdministratorItem {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) admin_id: AdminId,
    #[schema(example = "admin@gxtest.com")]
    pub(crate) email: String,
    #[schema(example = "First administrator")]
    pub(crate) display_name: String,
    #[schema(example = "SUPER_ADMIN")]
    pub(crate) role: String,
    pub(crate) is_locked: bool,
    /// Whether an authenticator or a passkey is in force.
    pub(crate) has_second_factor: bool,
    /// Whether the administrator has not set a password yet.
    pub(crate) is_invited: bool,
    #[serde(with = "gx_serve::moment")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(with = "gx_serve::moment")]
    pub(crate) updated_at: OffsetDateTime,
}

/// The facts of an account whose row is locked.
pub(super) struct Account {
    pub(super) role: String,
    pub(super) is_locked: bool,
}

/// Returns administrators after the id `above`, in the order in which they were added.
pub(super) async fn administrators(
    conn: &mut PgConnection,
    above: Option<&str>,
    limit: i64,
) -> Result<Vec<AdministratorItem>, sqlx::Error> {
    sqlx::query_as!(
        AdministratorItem,
        r#"SELECT "adminId" AS admin_id, email, "displayName" AS display_name, role,
                  "isLocked" AS is_locked,
                  (EXISTS (SELECT FROM "TotpFactor" f WHERE f."adminId" = a."adminId"
                               AND f."confirmedAt" IS NOT NULL)
                   OR EXISTS (SELECT FROM "PasskeyUser" u JOIN "Passkey" USING ("userHandle")
                              WHERE u."adminId" = a."adminId")) AS "has_second_factor!",
                  EXISTS (SELECT FROM "AdminInvitation" i WHERE i."adminId" = a."adminId")
                      AS "is_invited!",
                  "createdAt" AS created_at, "updatedAt" AS updated_at
           FROM "AdminUser" a
           WHERE $1::text IS NULL OR "adminId" > $1
           ORDER BY "adminId" LIMIT $2"#,
        above,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns an administrator, or `None` if there is none with this id.
pub(super) async fn administrator(
    conn: &mut PgConnection,
    admin_id: &AdminId,
) -> Result<Option<AdministratorItem>, sqlx::Error> {
    sqlx::query_as!(
        AdministratorItem,
        r#"SELECT "adminId" AS admin_id, email, "displayName" AS display_name, role,
                  "isLocked" AS is_locked,
                  (EXISTS (SELECT FROM "TotpFactor" f WHERE f."adminId" = a."adminId"
                               AND f."confirmedAt" IS NOT NULL)
                   OR EXISTS (SELECT FROM "PasskeyUser" u JOIN "Passkey" USING ("userHandle")
                              WHERE u."adminId" = a."adminId")) AS "has_second_factor!",
                  EXISTS (SELECT FROM "AdminInvitation" i WHERE i."adminId" = a."adminId")
                      AS "is_invited!",
                  "createdAt" AS created_at, "updatedAt" AS updated_at
           FROM "AdminUser" a WHERE "adminId" = $1"#,
        admin_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Locks the rows of all administrators who may do everything, in one order, and returns their ids.
pub(super) async fn lock_super_admins(
    conn: &mut PgConnection,
) -> Result<Vec<AdminId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "adminId" AS "id: AdminId" FROM "AdminUser"
           WHERE role = 'SUPER_ADMIN' AND NOT "isLocked"
           ORDER BY "adminId" FOR NO KEY UPDATE"#
    )
    .fetch_all(conn)
    .await
}

/// Locks an account until the transaction ends, or returns `None` if there is none with this id.
pub(super) async fn lock(
    conn: &mut PgConnection,
    admin_id: &AdminId,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"SELECT role, "isLocked" AS is_locked FROM "AdminUser" WHERE "adminId" = $1
           FOR NO KEY UPDATE"#,
        admin_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Sets role and lock of an account.
pub(super) async fn change(
    conn: &mut PgConnection,
    admin_id: &AdminId,
    role: &str,
    is_locked: bool,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "AdminUser" SET role = $2, "isLocked" = $3, "updatedAt" = $4
           WHERE "adminId" = $1"#,
        admin_id.as_str(),
        role,
        is_locked,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds an account. A violated unique constraint means that the e-mail address is taken.
pub(super) async fn insert(
    conn: &mut PgConnection,
    admin_id: &AdminId,
    new: &NewAccount<'_>,
    password_hash: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "AdminUser" ("adminId", email, "displayName", role, "passwordHash",
               "createdAt", "updatedAt")
           VALUES ($1, $2, $3, $4, $5, $6, $6)"#,
        admin_id.as_str(),
        new.email.as_str(),
        new.display_name,
        new.role.name(),
        password_hash,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores the invitation of a new account.
pub(super) async fn insert_invitation(
    conn: &mut PgConnection,
    admin_id: &AdminId,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "AdminInvitation" ("adminId", "expiresAt") VALUES ($1, $2)"#,
        admin_id.as_str(),
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
