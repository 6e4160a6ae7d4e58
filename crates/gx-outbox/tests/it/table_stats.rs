//! What PostgreSQL counts of a table.

use gx_db::PgConnection;

/// Returns the rows of `OutboxCommand` that all ended transactions of the database have read.
pub(crate) async fn rows_read(conn: &mut PgConnection) -> i64 {
    sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(&mut *conn).await.unwrap();
    let sql = r#"SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables
                 WHERE relname = 'OutboxCommand'"#;
    sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
}
