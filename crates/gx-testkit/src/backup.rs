//! A backup of the database, and its restore while the ledger goes on. Called by tests of restores.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::World;

/// Selects every table with rows of its own; partitions belong to their parents.
const TABLES: &str = r#"
    SELECT format('%I', relname) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    ORDER BY relname"#;

/// The schema that holds the backup.
const SCHEMA: &str = "backup";

impl World {
    /// Copies every row of the database into the backup.
    pub async fn back_up(&self) {
        let mut sql = self.sql().await;
        let mut statements = format!("CREATE SCHEMA {SCHEMA};");
        for table in tables(&mut sql).await {
            statements += &format!("CREATE TABLE {SCHEMA}.{table} AS TABLE public.{table};");
        }
        run(&mut sql, statements).await;
    }

    /// Replaces the database by the backup, as an operator does after a loss, and starts new
    /// workers.
    pub async fn restore(&mut self) {
        let mut sql = self.sql().await;
        let tables = tables(&mut sql).await;
        // Triggers and foreign keys are off, as in a real restore.
        let mut statements =
            format!("SET session_replication_role = replica; TRUNCATE {};", tables.join(", "));
        for table in &tables {
            statements += &format!(
                "INSERT INTO public.{table} OVERRIDING SYSTEM VALUE TABLE {SCHEMA}.{table};"
            );
        }
        run(&mut sql, format!("BEGIN; {statements} COMMIT;")).await;
        self.restart_workers();
    }

    /// Opens a connection of its own.
    async fn sql(&self) -> PgConnection {
        PgConnection::connect(self.database.url()).await.unwrap()
    }
}

/// Returns the names of all tables, quoted.
async fn tables(sql: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(TABLES).fetch_all(sql).await.unwrap()
}

async fn run(sql: &mut PgConnection, statements: String) {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(sql).await.unwrap();
}
