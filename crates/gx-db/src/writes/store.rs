//! SQL that makes the server write, called by [`super::WriteWatch::check`]. It is not checked
//! against the schema, because it needs none.

use sqlx::{Connection as _, PgConnection, raw_sql};

/// Makes the server write about 200 kB into a temporary file of the database's tablespace, by a
/// sort that does not fit into its memory limit.
///
/// # Errors
/// `sqlx::Error` if the file cannot be written, because the disk may be full, or if the server does
/// not answer; the caller tells the two apart.
pub(super) async fn write_temporary_file(conn: &mut PgConnection) -> sqlx::Result<()> {
    let sql = "SET LOCAL work_mem = '64kB'; SET LOCAL temp_tablespaces = '';
               SELECT count(*) FROM (
                   SELECT g FROM generate_series(1, 4000) AS g ORDER BY md5(g::text)) AS sorted";
    let mut tx = conn.begin().await?;
    let written = raw_sql(sql).execute(&mut *tx).await;
    tx.rollback().await?;
    written.map(drop)
}
