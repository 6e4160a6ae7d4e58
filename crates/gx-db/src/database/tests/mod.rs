//! Tests with databases of the shared server; tests that stop servers are in `servers`.

mod disk;
mod metric;
mod plans;
mod servers;

use std::time::Duration;

use gx_model::Clock;
use secrecy::SecretString;
use sqlx::raw_sql;

use super::*;
use crate::testing::TestDatabase;
use crate::{MIGRATIONS, Migration, migrate, migrate_to};

/// Longer than any recovery takes on a busy machine.
const BOUND: Duration = Duration::from_secs(120);

fn quick(mut settings: DatabaseSettings) -> DatabaseSettings {
    settings.database_recheck_ms = 100;
    settings.database_acquire_timeout_ms = 60_000;
    settings.database_connect_timeout_ms = 30_000;
    settings
}

fn settings_of(urls: &[String]) -> DatabaseSettings {
    quick(DatabaseSettings::from_url(SecretString::from(urls.join(","))))
}

async fn becomes(database: &Database, wanted: impl Fn(&Health) -> bool) -> Health {
    let mut changes = database.health_changes();
    let found = tokio::time::timeout(BOUND, changes.wait_for(|health| wanted(health))).await;
    match found {
        Ok(health) => health.unwrap().clone(),
        Err(_) => panic!("still {:?}", database.health()),
    }
}

/// Checks that no connection is handed out, in either way, and that no query runs.
async fn assert_unusable(database: &Database) {
    let error = database.connection().await.unwrap_err();
    assert!(matches!(error, DbError::Unusable(_)), "{error}");
    let waiting = tokio::time::timeout(Duration::from_millis(300), database.pool().acquire());
    assert!(waiting.await.is_err(), "a connection was handed out");
}

async fn refused(settings: DatabaseSettings, reason: &'static str, said: &str) {
    let counters = metric::Counters::default();
    let _recorder = metrics::set_default_local_recorder(&counters);
    let database = connect(&quick(settings)).await.unwrap();
    assert_unusable(&database).await;
    // One by the monitor, and at least one by the pool.
    let pool = database.pool().acquire();
    tokio::pin!(pool);
    let deadline = Instant::now() + BOUND;
    while database.refusals()[reason] < 2 {
        assert!(Instant::now() < deadline, "{reason}: {:?}", database.refusals());
        let short = tokio::time::timeout(Duration::from_millis(10), &mut pool);
        assert!(short.await.is_err(), "a connection was handed out");
    }
    let others: u64 = database.refusals().values().sum();
    assert_eq!(others, database.refusals()[reason], "only for this reason");
    let metric = counters.by_reason("gx_db_refused_connections_total", reason);
    assert_eq!(metric, database.refusals()[reason], "{reason}");
    let health = database.health().to_string();
    assert!(health.contains(said), "{health}");
}

/// G7: the pool rejects and counts an instance that is read-only, of another cluster, empty, of an
/// older or of another schema, and names the reason.
#[tokio::test]
async fn g7_each_wrong_instance_is_refused_with_its_reason() {
    let read_only = TestDatabase::create().await;
    let sql = format!("ALTER DATABASE {} SET default_transaction_read_only = on", read_only.name());
    raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut read_only.connection().await).await.unwrap();
    refused(read_only.settings(), "read_only", "the instance is read-only").await;

    let good = TestDatabase::create().await;
    let mut settings = good.settings();
    settings.database_system_id = Some(42);
    refused(settings, "other_cluster", ", not to 42").await;

    let empty = TestDatabase::empty().await;
    refused(empty.settings(), "empty", Migration::newest().name).await;

    let older = TestDatabase::empty().await;
    migrate_to(&mut older.connection().await, 1, &Clock::system()).await.unwrap();
    refused(older.settings(), "migrations_pending", MIGRATIONS[1].name).await;

    let other = TestDatabase::create().await;
    let sql = r#"ALTER TABLE "Wallet" DROP COLUMN "isLocked""#;
    raw_sql(sql).execute(&mut other.connection().await).await.unwrap();
    refused(other.settings(), "other_schema", r#"column "Wallet"."isLocked" is missing"#).await;
}

/// RDY-04: a process starts on an older schema, names the pending migrations, writes nothing, and
/// becomes ready when the migration is applied.
#[tokio::test]
async fn rdy_04_pending_migrations_are_named_and_waited_for() {
    let test = TestDatabase::empty().await;
    let mut conn = test.connection().await;
    let until = MIGRATIONS.len() - 1;
    migrate_to(&mut conn, MIGRATIONS[until - 1].version, &Clock::system()).await.unwrap();
    let database = connect(&quick(test.settings())).await.unwrap();
    assert_eq!(database.health(), Health::Pending(vec![Migration::newest().name.to_owned()]));
    assert_unusable(&database).await;

    migrate(&mut conn, &Clock::system()).await.unwrap();
    becomes(&database, Health::is_ok).await;
    sqlx::query(r#"UPDATE "OutboxLane" SET owner = 'x'"#).execute(database.pool()).await.unwrap();
}

/// DB-03: if a column is dropped while a process runs, the process names it and stops using its
/// connections; it continues when the column is back.
#[tokio::test]
async fn db_03_drift_under_a_running_process_is_named() {
    let test = TestDatabase::create().await;
    let mut conn = test.connection().await;
    let database = connect(&quick(test.settings())).await.unwrap();
    sqlx::query("SELECT 1").execute(database.pool()).await.unwrap();

    let sql = r#"ALTER TABLE "Notification" DROP COLUMN "readAt""#;
    raw_sql(sql).execute(&mut conn).await.unwrap();
    let health = becomes(&database, |health| !health.is_ok()).await;
    let line = r#"column "Notification"."readAt" is missing"#;
    assert_eq!(health, Health::Different(vec![line.to_owned()]));
    assert_unusable(&database).await;

    let sql = r#"ALTER TABLE "Notification" ADD COLUMN "readAt" timestamptz(3)"#;
    raw_sql(sql).execute(&mut conn).await.unwrap();
    becomes(&database, Health::is_ok).await;
    sqlx::query("SELECT 1").execute(database.pool()).await.unwrap();
}

/// Who is dropped while it waits for the answer to BEGIN leaves its connection in a transaction of
/// which the driver does not know. Nobody gets this connection: what they write would be lost.
#[tokio::test]
async fn a_connection_that_was_left_in_a_transaction_is_not_used_again() {
    let test = TestDatabase::create().await;
    let mut settings = quick(test.settings());
    settings.database_max_connections = 1;
    let database = connect(&settings).await.unwrap();
    let session = async |conn: &mut PgConnection| -> i32 {
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await.unwrap()
    };
    let mut unused = database.connection().await.unwrap();
    let first = session(&mut unused).await;
    drop(unused);
    let mut left = database.connection().await.unwrap();
    assert_eq!(session(&mut left).await, first);
    raw_sql("BEGIN").execute(&mut *left).await.unwrap();
    drop(left);
    let mut next = database.connection().await.unwrap();
    assert_ne!(session(&mut next).await, first);
    assert!(!is_in_transaction(&mut next).await.unwrap());
    raw_sql("BEGIN").execute(&mut *next).await.unwrap();
    assert!(is_in_transaction(&mut next).await.unwrap());
}

#[tokio::test]
async fn any_password_works_and_is_never_shown() {
    let test = TestDatabase::create().await;
    let mut conn = test.connection().await;
    let password: String = (' '..='~').collect();
    let role = format!("role_{}", test.name());
    let quoted = password.replace('\'', "''");
    let sql = format!("CREATE ROLE {role} LOGIN PASSWORD E'{}'", quoted.replace('\\', "\\\\"));
    raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    let sql = format!(r#"GRANT SELECT ON "SchemaVersion" TO {role}"#);
    raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();

    let port = test.url().rsplit_once('/').unwrap().0.rsplit_once(':').unwrap().1;
    let encoded = crate::endpoint::encode(&password);
    let url = format!("postgres://{role}:{encoded}@127.0.0.1:{port}/{}", test.name());
    let by_url = DatabaseSettings::from_url(url.into());
    let mut by_parts = by_url.clone();
    by_parts.database_url = None;
    by_parts.database_host = Some(format!("127.0.0.1:{port}"));
    by_parts.database_name = test.name().to_owned();
    by_parts.database_user = Some(role.clone());
    by_parts.database_password = Some(password.clone().into());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{password}\n")).unwrap();
    let mut by_file = by_parts.clone();
    by_file.database_password = None;
    by_file.database_password_file = Some(file.path().to_owned());
    for settings in [by_url, by_parts, by_file] {
        let database = connect(&quick(settings.clone())).await.unwrap();
        assert!(database.health().is_ok(), "{}", database.health());
        let shown = format!("{settings:?} {database:?}");
        assert!(!shown.contains(&encoded) && !shown.contains("PQRSTUVW"), "{shown}");
        database.close().await;
    }
    let sql = format!(r#"DROP OWNED BY {role}; DROP ROLE {role}"#);
    raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
}

/// DB-08: the monitor names the session that others wait for, also a moment after they have timed
/// out, and not a session that only waits ahead of them.
#[tokio::test]
async fn db_08_the_session_that_others_wait_for_is_named() {
    let test = TestDatabase::create().await;
    let mut settings = quick(test.settings());
    settings.session.database_lock_timeout_ms = 2_000;
    let database = connect(&settings).await.unwrap();
    assert_eq!(database.blockers(), Vec::new());
    let mut silent = test.connection().await;
    let sql = r#"SET application_name = 'svc frozen'; BEGIN;
                 UPDATE "OutboxLane" SET owner = 'x' WHERE lane = 0"#;
    raw_sql(sql).execute(&mut silent).await.unwrap();
    let pid = crate::lock_waits::backend_pid(&mut silent).await.unwrap();
    let lock = r#"SELECT FROM "OutboxLane" WHERE lane = 0 FOR UPDATE"#;
    let waiting = async {
        let (one, other) = tokio::join!(
            raw_sql(lock).execute(database.pool()),
            raw_sql(lock).execute(database.pool()),
        );
        assert!(crate::is_lock_timeout(&one.unwrap_err()));
        other.unwrap_err();
    };
    tokio::time::timeout(BOUND, waiting).await.unwrap();
    let seen = database.blockers();
    let [SeenBlocker { blocker, .. }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((blocker.pid, &*blocker.application), (pid, "svc frozen"), "{seen:?}");
    let said = blocker.to_string();
    // If two wait for one row, the second may wait for the first: one or two are blocked.
    assert!(said.contains("idle in transaction"), "{said}");
    assert!(said.contains(" blocks "), "{said}");
}
