//! Copies of the whole database, to which a run can return. `environment` restores the base before
//! each seed; a run copies and restores when a fault or storm asks for it.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A schema with a copy of every table and of the values of the sequences.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backup(pub(crate) &'static str);

/// A table and its writable columns, quoted.
type Table = (String, String);

impl Backup {
    /// Creates the tables of the copy.
    pub(crate) async fn prepare(self, conn: &mut PgConnection) {
        let schema = self.0;
        let mut sql = format!(
            "CREATE SCHEMA {schema};
             CREATE UNLOGGED TABLE {schema}.sequences (name text, last_value bigint);"
        );
        for (table, _) in tables(conn).await {
            sql += &format!("CREATE UNLOGGED TABLE {schema}.{table} (LIKE public.{table});");
        }
        execute(conn, sql).await;
    }

    /// Copies all rows and replaces the earlier copy.
    pub(crate) async fn take(self, conn: &mut PgConnection) {
        let schema = self.0;
        let mut sql = String::new();
        for (table, _) in tables(conn).await {
            sql += &format!(
                "DELETE FROM {schema}.{table};
                 INSERT INTO {schema}.{table} SELECT * FROM public.{table};"
            );
        }
        sql += &format!(
            "DELETE FROM {schema}.sequences;
             INSERT INTO {schema}.sequences
             SELECT quote_ident(sequencename), last_value
             FROM pg_sequences WHERE schemaname = 'public';"
        );
        execute(conn, sql).await;
    }

    /// Restores the copy. No other session may be in a transaction.
    pub(crate) async fn restore(self, conn: &mut PgConnection) {
        let schema = self.0;
        // Without triggers and foreign keys, as when a dump is restored. DELETE instead of
        // TRUNCATE, after which every session would plan its statements again.
        let mut sql = "SET LOCAL session_replication_role = replica;".to_owned();
        for (table, columns) in tables(conn).await {
            sql += &format!(
                "DELETE FROM public.{table};
                 INSERT INTO public.{table} ({columns}) OVERRIDING SYSTEM VALUE
                 SELECT {columns} FROM {schema}.{table};"
            );
        }
        sql += &format!(
            "SELECT setval(('public.' || name)::regclass, coalesce(last_value, 1),
                           last_value IS NOT NULL) FROM {schema}.sequences;"
        );
        execute(conn, sql).await;
    }
}

/// Removes the dead rows that restores leave behind.
pub(crate) async fn vacuum(conn: &mut PgConnection) {
    sqlx::raw_sql("VACUUM").execute(conn).await.unwrap();
}

/// Returns every table with rows of its own, and its columns that are not generated.
async fn tables(conn: &mut PgConnection) -> Vec<Table> {
    sqlx::query_as(
        "SELECT quote_ident(c.relname),
                string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                    FILTER (WHERE a.attgenerated = '')
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
         GROUP BY c.relname ORDER BY c.relname",
    )
    .fetch_all(conn)
    .await
    .unwrap()
}

async fn execute(conn: &mut PgConnection, sql: String) {
    let mut tx = conn.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}
