//! The lock that lets one rebuild of a channel run at a time. Called at the begin and the end of a
//! rebuild.

use gx_db::PgConnection;
use sqlx::query_scalar;

/// Tries to become the only rebuild of a channel for as long as the connection lives. Returns
/// `false` if another one is running.
pub(crate) async fn try_begin(conn: &mut PgConnection, channel: &str) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtext('gx rebuild'), hashtext($1)) AS "begins!""#,
        channel,
    )
    .fetch_one(conn)
    .await
}

/// Ends the rebuild, so that the next one may begin before the server notices that this session is
/// closed.
pub(crate) async fn end(conn: &mut PgConnection, channel: &str) -> Result<(), sqlx::Error> {
    query_scalar!(
        r#"SELECT pg_advisory_unlock(hashtext('gx rebuild'), hashtext($1)) AS "ended!""#,
        channel,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}
