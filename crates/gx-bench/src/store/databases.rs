//! Creates, copies and removes databases, prepares them for a measurement, and writes the small
//! rows with which `postgres` measures a commit. Each error ends the row.

use sqlx::{AssertSqlSafe, PgConnection, query, raw_sql};

/// Number of rows of the table that [`write_small_row`] updates; their ids are 0 and up.
pub(crate) const SMALL_ROWS: i32 = 64;

/// Creates a database as a copy of another one, which nobody may use meanwhile.
pub(crate) async fn create(
    conn: &mut PgConnection,
    name: &str,
    template: &str,
) -> Result<(), sqlx::Error> {
    let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
    raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

/// Removes a database, if it exists, and ends its sessions.
pub(crate) async fn remove(conn: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

/// Writes all dirty pages to the disk, so that later work does not have to.
pub(crate) async fn write_dirty_pages(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql("CHECKPOINT").execute(conn).await.map(drop)
}

/// Removes dead rows and collects statistics, as autovacuum does on a server in use.
pub(crate) async fn vacuum_analyze(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql("VACUUM ANALYZE").execute(conn).await.map(drop)
}

/// Collects statistics.
pub(crate) async fn analyze(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql("ANALYZE").execute(conn).await.map(drop)
}

/// Creates the table of [`write_small_row`].
pub(crate) async fn make_small_rows(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let sql = format!(
        "CREATE TABLE small (id integer PRIMARY KEY, at timestamptz);
         INSERT INTO small SELECT generate_series(0, {SMALL_ROWS} - 1), now()"
    );
    raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

/// Writes a small row and waits for the disk.
pub(crate) async fn write_small_row(conn: &mut PgConnection, id: i32) -> Result<(), sqlx::Error> {
    query("UPDATE small SET at = now() WHERE id = $1").bind(id).execute(conn).await.map(drop)
}
