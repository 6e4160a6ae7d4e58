//! SQL of the account whose documents change. Called by the parent module.

use gx_db::{Parsed, PgConnection, ProfileId};
use gx_model::AccountStatus;

/// Returns the status of an account.
pub(super) async fn status(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<AccountStatus, sqlx::Error> {
    let status = sqlx::query_scalar!(
        r#"SELECT status AS "status: Parsed<AccountStatus>" FROM "UserProfile"
           WHERE "profileId" = $1"#,
        profile_id.as_str(),
    );
    status.fetch_one(conn).await.map(|Parsed(status)| status)
}

/// Returns the status of an account and locks its row until the transaction ends.
pub(super) async fn lock_status(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<AccountStatus, sqlx::Error> {
    let status = sqlx::query_scalar!(
        r#"SELECT status AS "status: Parsed<AccountStatus>" FROM "UserProfile"
           WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    );
    status.fetch_one(conn).await.map(|Parsed(status)| status)
}
