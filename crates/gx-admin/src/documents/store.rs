//! SQL about people and administrators that documents need. Called by the parent module and `page`.

use gx_db::{AdminId, PgConnection, ProfileId};

/// Returns whether there is an account with this id.
pub(super) async fn person_exists(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "UserProfile" WHERE "profileId" = $1) AS "exists!""#,
        profile_id.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Returns the id of a person's newest submission, or `None` if there was none.
pub(super) async fn newest_case(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "verificationId" FROM "KYCVerification" WHERE "profileId" = $1
           ORDER BY submission DESC LIMIT 1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns the e-mail address of an administrator.
pub(super) async fn email_of(
    conn: &mut PgConnection,
    admin_id: &AdminId,
) -> Result<String, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT email FROM "AdminUser" WHERE "adminId" = $1"#, admin_id.as_str(),)
        .fetch_one(conn)
        .await
}
