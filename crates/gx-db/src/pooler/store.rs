//! SQL that identifies sessions. Most functions send their text without preparing it, because some
//! poolers fail at that.

use sqlx::{PgConnection, Row as _, raw_sql};

/// Returns the identity of the session and its server.
pub(super) async fn session(conn: &mut PgConnection) -> sqlx::Result<String> {
    let sql = "SELECT pid || ' ' || backend_start FROM pg_stat_get_activity(pg_backend_pid())";
    raw_sql(sql).fetch_one(conn).await?.try_get(0)
}

/// Begins a transaction and returns the identity of its session.
pub(super) async fn begin(conn: &mut PgConnection) -> sqlx::Result<String> {
    let sql = "BEGIN;
               SELECT pid || ' ' || backend_start FROM pg_stat_get_activity(pg_backend_pid())";
    raw_sql(sql).fetch_one(conn).await?.try_get(0)
}

pub(super) async fn rollback(conn: &mut PgConnection) -> sqlx::Result<()> {
    raw_sql("ROLLBACK").execute(conn).await.map(drop)
}

/// Returns the settings that are zero in this session.
pub(super) async fn without_limit(
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

/// Returns whether a prepared statement returns its own result.
pub(super) async fn prepared_one(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT 'one' = $1").bind("one").fetch_one(conn).await
}

/// Like [`prepared_one`], with another text.
pub(super) async fn prepared_other(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT 'other' = $1").bind("other").fetch_one(conn).await
}
