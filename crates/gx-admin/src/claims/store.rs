//! SQL of claims. Called by the parent module.

use std::time::Duration;

use gx_db::{AdminId, Parsed, PgConnection, ProfileId};
use gx_model::AccountStatus;
use time::OffsetDateTime;

use crate::review_settings::milliseconds;

/// The claim on a person.
pub(super) struct Claim {
    pub(super) admin_id: AdminId,
    /// Whether the lease lasts, by the time of the database.
    pub(super) lasts: bool,
}

/// The facts that decide whether somebody can review.
pub(super) struct AdministratorFacts {
    pub(super) role: String,
    pub(super) is_locked: bool,
}

/// Locks the account's row until the transaction ends and returns the status, or `None` if there is
/// no such account.
pub(super) async fn lock_person(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<AccountStatus>, sqlx::Error> {
    let status = sqlx::query_scalar!(
        r#"SELECT status AS "status: Parsed<AccountStatus>" FROM "UserProfile"
           WHERE "profileId" = $1 FOR NO KEY UPDATE"#,
        profile_id.as_str(),
    );
    Ok(status.fetch_optional(conn).await?.map(|Parsed(status)| status))
}

/// Returns the claim on a person, or `None` if there is none.
pub(super) async fn claim(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<Claim>, sqlx::Error> {
    sqlx::query_as!(
        Claim,
        r#"SELECT "adminId" AS admin_id, "leaseUntil" > clock_timestamp() AS "lasts!"
           FROM "ReviewClaim" WHERE "profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Gives a person to a reviewer, instead of an earlier one, and returns the end of the lease.
pub(super) async fn set(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    assignee: &AdminId,
    lease: Duration,
) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar!(
        r#"INSERT INTO "ReviewClaim" AS c ("profileId", "adminId", "leaseUntil")
           VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 millisecond')
           ON CONFLICT ("profileId") DO UPDATE
           SET "adminId" = excluded."adminId", "leaseUntil" = excluded."leaseUntil"
           RETURNING c."leaseUntil""#,
        profile_id.as_str(),
        assignee.as_str(),
        milliseconds(lease),
    )
    .fetch_one(conn)
    .await
}

/// Removes the claim on a person.
pub(super) async fn remove(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"DELETE FROM "ReviewClaim" WHERE "profileId" = $1"#, profile_id.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns an administrator, or `None` if there is none with this id.
pub(super) async fn administrator(
    conn: &mut PgConnection,
    admin_id: &AdminId,
) -> Result<Option<AdministratorFacts>, sqlx::Error> {
    sqlx::query_as!(
        AdministratorFacts,
        r#"SELECT role, "isLocked" AS is_locked FROM "AdminUser" WHERE "adminId" = $1"#,
        admin_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}
