//! SQL of the check for poolers, which [`super::open`] makes whenever it connects. All functions
//! but the last two send their text without preparing it, because some poolers fail at that.

use sqlx::{PgConnection, Row as _, raw_sql};

/// Selects a text that identifies the session and its server.
const SESSION_ID: &str =
    "SELECT pid || ' ' || backend_start FROM pg_stat_get_activity(pg_backend_pid())";

/// Returns the identity of the session that runs this statement.
pub(super) async fn session_id(conn: &mut PgConnection) -> sqlx::Result<String> {
    raw_sql(SESSION_ID).fetch_one(conn).await?.try_get(0)
}

/// Begins a transaction and returns the identity of its session.
pub(super) async fn begin(conn: &mut PgConnection) -> sqlx::Result<String> {
    let sql = format!("BEGIN; {SESSION_ID}");
    raw_sql(sqlx::AssertSqlSafe(sql)).fetch_one(conn).await?.try_get(0)
}

pub(super) async fn rollback(conn: &mut PgConnection) -> sqlx::Result<()> {
    raw_sql("ROLLBACK").execute(conn).await.map(drop)
}

/// Returns those of the settings that are zero in this session, which means no limit.
pub(super) async fn unlimited_settings(
    conn: &mut PgConnection,
    names: &'static [&'static str],
) -> sqlx::Result<Vec<String>> {
    let mut unset = Vec::new();
    for name in names {
        let sql = format!("SELECT setting FROM pg_settings WHERE name = '{name}'");
        let row = raw_sql(sqlx::AssertSqlSafe(sql)).fetch_one(&mut *conn).await?;
        if row.try_get::<String, _>(0)? == "0" {
            unset.push((*name).to_owned());
        }
    }
    Ok(unset)
}

/// Returns whether this connection's prepared statement returns its own result. `false` means that
/// the pooler ran the statement of another connection under the same name.
///
/// # Errors
/// `sqlx::Error` if the statement fails. The caller tells from the code whether the pooler has lost
/// the statement or the server has failed.
pub(super) async fn is_first_statement_kept(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT 'one' = $1").bind("one").fetch_one(conn).await
}

/// Returns the same for another statement, to which the driver gives the same name.
///
/// # Errors
/// As [`is_first_statement_kept`].
pub(super) async fn is_second_statement_kept(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT 'other' = $1").bind("other").fetch_one(conn).await
}
