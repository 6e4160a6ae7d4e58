//! SQL of a person's sessions, as administrators end them.

use gx_db::{PgConnection, ProfileId};

/// Returns whether the person exists.
pub(crate) async fn exists(
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
