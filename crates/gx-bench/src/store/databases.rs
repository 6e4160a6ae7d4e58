//! Creates, copies and removes databases.

use sqlx::{AssertSqlSafe, PgConnection, query, raw_sql};

pub(crate) async fn create(
    conn: &mut PgConnection,
    name: &str,
    template: &str,
) -> Result<(), sqlx::Error> {
    let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
    raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(std::mem::drop)
}

pub(crate) async fn drop(conn: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(std::mem::drop)
}

pub(crate) async fn checkpoint(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql("CHECKPOINT").execute(conn).await.map(std::mem::drop)
}

pub(crate) async fn vacuum_analyze(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql("VACUUM ANALYZE").execute(conn).await.map(std::mem::drop)
}

pub(crate) async fn analyze(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql("ANALYZE").execute(conn).await.map(std::mem::drop)
}

/// Creates the table of [`write_small_row`].
pub(crate) async fn make_small_rows(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql(
        "CREATE TABLE small (id integer PRIMARY KEY, at timestamptz);
         INSERT INTO small SELECT generate_series(0, 63), now()",
    )
    .execute(conn)
    .await
    .map(std::mem::drop)
}

/// Writes a small row and waits for the disk.
pub(crate) async fn write_small_row(conn: &mut PgConnection, id: i32) -> Result<(), sqlx::Error> {
    query("UPDATE small SET at = now() WHERE id = $1")
        .bind(id)
        .execute(conn)
        .await
        .map(std::mem::drop)
}
