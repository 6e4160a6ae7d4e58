//! SQL of factor resets.

use gx_db::{AdminId, PgConnection, ProfileId};

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

pub(super) async fn administrator_exists(
    conn: &mut PgConnection,
    admin_id: &AdminId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "AdminUser" WHERE "adminId" = $1) AS "exists!""#,
        admin_id.as_str(),
    )
    .fetch_one(conn)
    .await
}
