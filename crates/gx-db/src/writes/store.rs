//! SQL that makes the server write. It is not checked against the schema, because it needs none.

use sqlx::{Connection as _, PgConnection, raw_sql};

/// Sorts more than fits into its memory limit, so that the server writes about 200 kB into a
/// temporary file of the database's tablespace.
pub(super) async fn spill(conn: &mut PgConnection) -> sqlx::Result<()> {
    let sql = "SET LOCAL work_mem = '64kB'; SET LOCAL temp_tablespaces = '';
               SELECT count(*) FROM (
                   SELECT g FROM generate_series(1, 4000) AS g ORDER BY md5(g::text)) AS sorted";
    let mut tx = conn.begin().await?;
    let spilt = raw_sql(sql).execute(&mut *tx).await;
    tx.rollback().await?;
    spilt.map(drop)
}
