//! SQL of notices.

use gx_db::PgConnection;

use crate::realm::Subject;

/// Returns the address of an account, or `None` if there is no such account.
pub(super) async fn address(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Option<String>, sqlx::Error> {
    match subject {
        Subject::User(id) => {
            sqlx::query_scalar!(
                r#"SELECT email FROM "UserProfile"
                   WHERE "profileId" = $1 AND "deletedAt" IS NULL"#,
                id.as_str(),
            )
            .fetch_optional(conn)
            .await
        }
        Subject::Admin(id) => {
            sqlx::query_scalar!(
                r#"SELECT email FROM "AdminUser" WHERE "adminId" = $1"#,
                id.as_str(),
            )
            .fetch_optional(conn)
            .await
        }
    }
}
