//! Logical copies of the whole database, to go back to.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A copy of every table and of where the sequences stand, in a schema of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backup(pub(crate) &'static str);

/// A table and its columns that can be written, quoted.
type Table = (String, String);

impl Backup {
    /// Copies everything as it is. An earlier copy under this name is replaced.
    pub(crate) async fn take(self, conn: &mut PgConnection) {
        let schema = self.0;
        let mut sql = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};");
        for (table, _) in tables(conn).await {
            sql += &format!(
                "CREATE TABLE {schema}.{table} (LIKE public.{table});
                 INSERT INTO {schema}.{table} SELECT * FROM public.{table};"
            );
        }
        sql += &format!(
            "CREATE TABLE {schema}.sequences AS SELECT quote_ident(sequencename) AS name, last_value
             FROM pg_sequences WHERE schemaname = 'public';"
        );
        execute(conn, sql).await;
    }

    /// Puts everything back as it was. Nobody may be in a transaction.
    pub(crate) async fn restore(self, conn: &mut PgConnection) {
        let (schema, tables) = (self.0, tables(conn).await);
        let names: Vec<_> = tables.iter().map(|(table, _)| format!("public.{table}")).collect();
        // Without triggers and foreign keys, as a restore of a dump works.
        let mut sql =
            format!("SET LOCAL session_replication_role = replica; TRUNCATE {};", names.join(", "));
        for (table, columns) in &tables {
            sql += &format!(
                "INSERT INTO public.{table} ({columns}) OVERRIDING SYSTEM VALUE
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
