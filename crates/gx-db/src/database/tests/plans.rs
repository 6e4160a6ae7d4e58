//! Plans that are older than a change of the schema.

use super::*;
use crate::testing::apply_future_migration;
use crate::{DatabaseFailure, is_stale_plan};

const EVERYTHING: &str = r#"SELECT * FROM "Wallet""#;

async fn read(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(EVERYTHING).fetch_all(conn).await.map(drop)
}

/// DB-11: a stale plan is recognised, and once it is reported to the database no earlier connection
/// is used again: the same statement succeeds.
#[tokio::test]
async fn db_11_after_a_stale_plan_the_statement_succeeds_on_a_new_connection() {
    let test = TestDatabase::create().await;
    let mut settings = quick(test.settings());
    // The monitor must not notice.
    settings.database_recheck_ms = 60_000;
    let database = connect(&settings).await.unwrap();
    let mut conn = database.connection().await.unwrap();
    read(&mut conn).await.unwrap();
    let grown = r#"ALTER TABLE "Wallet" ADD COLUMN colour text"#;
    apply_future_migration(&mut test.connection().await, grown).await;

    let stale = read(&mut conn).await.unwrap_err();
    assert!(is_stale_plan(&stale), "{stale}");
    let again = read(&mut conn).await.unwrap_err();
    assert!(is_stale_plan(&again), "the driver keeps the plan: {again}");
    drop(conn);
    database.report_failure(&DatabaseFailure::of(&stale).unwrap());
    read(&mut database.connection().await.unwrap()).await.unwrap();
}

/// DB-11: a feature that the server lacks has the same SQLSTATE and is not a stale plan.
#[tokio::test]
async fn db_11_what_is_not_supported_is_no_stale_plan() {
    let test = TestDatabase::create().await;
    let mut conn = test.connection().await;
    let sql = "SELECT count(*) OVER (ORDER BY 1) FROM generate_series(1, 2) FOR UPDATE";
    let error = raw_sql(sql).execute(&mut conn).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("0A000"));
    assert!(!is_stale_plan(&error), "{error}");
}

/// DB-11: a process that reports no failures, such as a worker, replaces its connections when the
/// monitor sees the new schema.
#[tokio::test]
async fn db_11_connections_from_before_a_migration_are_not_used_again() {
    let test = TestDatabase::create().await;
    let mut settings = quick(test.settings());
    settings.database_max_connections = 1;
    let database = connect(&settings).await.unwrap();
    read(&mut database.connection().await.unwrap()).await.unwrap();
    let grown = r#"ALTER TABLE "Wallet" ADD COLUMN colour text"#;
    apply_future_migration(&mut test.connection().await, grown).await;

    let deadline = Instant::now() + BOUND;
    while let Err(error) = read(&mut database.connection().await.unwrap()).await {
        assert!(is_stale_plan(&error), "{error}");
        assert!(Instant::now() < deadline, "the plan is kept");
    }
    assert!(database.health().is_ok(), "{}", database.health());
}
