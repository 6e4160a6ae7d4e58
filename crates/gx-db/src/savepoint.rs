//! Sections of a transaction that can be rolled back on their own.
//!
//! When sqlx rolls back a nested transaction, it leaves the savepoint open. Each open savepoint
//! keeps a slot of the server's lock table until the whole transaction ends, and some thousands of
//! open savepoints end in "out of shared memory" (53200). So the projector, which rolls back many
//! sections in one transaction, uses [`begin`] and [`end`] for each event or group of events.

use sqlx::{Executor as _, PgConnection, raw_sql};

/// Begins a section inside a transaction. [`end`] must end it.
///
/// # Errors
/// `sqlx::Error` if the statement fails or there is no transaction.
pub async fn begin(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute(raw_sql("SAVEPOINT section")).await.map(drop)
}

/// Ends the newest section: keeps its writes, or rolls them back if `outcome` is an error. Must
/// follow each [`begin`]. `outcome` is only read; the caller still handles it.
///
/// # Errors
/// `sqlx::Error` if the statement fails; the whole transaction is lost then.
pub async fn end<T, E>(conn: &mut PgConnection, outcome: &Result<T, E>) -> sqlx::Result<()> {
    let sql = match outcome {
        Ok(_) => "RELEASE SAVEPOINT section",
        Err(_) => "ROLLBACK TO SAVEPOINT section; RELEASE SAVEPOINT section",
    };
    conn.execute(raw_sql(sql)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, query_scalar};

    use super::*;
    use crate::testing::TestDatabase;

    const LOCKS: &str = "SELECT count(*) FROM pg_locks
                         WHERE locktype = 'transactionid' AND pid = pg_backend_pid()";

    /// PRJ-14: a thousand sections that are rolled back leave one lock, which is the transaction's;
    /// sections within sections keep their writes.
    #[tokio::test]
    async fn undone_sections_leave_no_lock_behind() {
        let database = TestDatabase::empty().await;
        let mut conn = database.connection().await;
        raw_sql("CREATE TABLE number (n int PRIMARY KEY)").execute(&mut conn).await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        raw_sql("INSERT INTO number VALUES (1)").execute(&mut *tx).await.unwrap();
        for _ in 0..1_000 {
            begin(&mut tx).await.unwrap();
            raw_sql("INSERT INTO number VALUES (2)").execute(&mut *tx).await.unwrap();
            let again = raw_sql("INSERT INTO number VALUES (1)").execute(&mut *tx).await;
            end(&mut tx, &again).await.unwrap();
        }
        let locks: i64 = query_scalar(LOCKS).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(locks, 1);
        for n in [2, 3] {
            begin(&mut tx).await.unwrap();
            begin(&mut tx).await.unwrap();
            let added = sqlx::query("INSERT INTO number VALUES ($1)").bind(n).execute(&mut *tx);
            let added = added.await;
            end(&mut tx, &added).await.unwrap();
            let outcome = if n == 2 { Ok(()) } else { Err(()) };
            end(&mut tx, &outcome).await.unwrap();
        }
        tx.commit().await.unwrap();
        let kept: Vec<i32> =
            query_scalar("SELECT n FROM number ORDER BY n").fetch_all(&mut conn).await.unwrap();
        assert_eq!(kept, [1, 2]);
    }
}
