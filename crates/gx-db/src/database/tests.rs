//! Against servers of the tests' own where one has to die, and the shared one otherwise.

mod balancer;

use std::time::Duration;

use gx_model::Clock;
use secrecy::SecretString;
use sqlx::raw_sql;

use super::*;
use crate::testing::{TestDatabase, TestServer};
use crate::{MIGRATIONS, Migration, migrate, migrate_to};

/// Longer than any recovery here takes on a busy machine.
const BOUND: Duration = Duration::from_secs(30);

fn quick(mut settings: DatabaseSettings) -> DatabaseSettings {
    settings.database_recheck_ms = 100;
    settings.database_acquire_timeout_ms = 20_000;
    settings.database_connect_timeout_ms = 2_000;
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

async fn migrated_server() -> TestServer {
    let server = TestServer::start().await;
    migrate(&mut server.connection().await, &Clock::system()).await.unwrap();
    server
}

/// No connection is handed out, by either way, and no query runs.
async fn assert_unusable(database: &Database) {
    let error = database.connection().await.unwrap_err();
    assert!(matches!(error, DbError::Unusable(_)), "{error}");
    let waiting = tokio::time::timeout(Duration::from_millis(300), database.pool().acquire());
    assert!(waiting.await.is_err(), "a connection was handed out");
}

async fn refused(settings: DatabaseSettings, reason: &'static str, said: &str) {
    let database = connect(&quick(settings)).await.unwrap();
    assert_unusable(&database).await;
    // One by the monitor, at least one by the pool.
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
    let health = database.health().to_string();
    assert!(health.contains(said), "{health}");
}

/// G7: an instance that is read-only, of another cluster, empty, of an older or of another
/// schema is refused by the pool, counted, and the reason is named.
#[tokio::test]
async fn g7_each_wrong_instance_is_refused_with_its_reason() {
    let read_only = TestDatabase::create().await;
    let sql = format!("ALTER DATABASE {} SET default_transaction_read_only = on", read_only.name());
    raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut read_only.connection().await).await.unwrap();
    refused(read_only.settings(), "read_only", "it is read-only").await;

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

/// RDY-04: a process starts on an older schema, names what is pending, writes nothing, and
/// becomes ready by itself once the migration was applied.
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

/// DB-03: a column dropped under a running process is noticed and named, and its connections
/// are not used any more; put back, it goes on.
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

/// Writes `rows` rows at once over as many connections as the pool opens, each naming the
/// server that took it.
async fn write_rows(database: &Database, rows: i32) {
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..rows {
        let pool = database.pool().clone();
        writers.spawn(async move {
            sqlx::query(
                r#"INSERT INTO "LedgerTip" (channel, height, "firstSeenAt", "contactAt", writer)
                   SELECT 'test', $1, now(), now(), inet_server_port()::text FROM pg_sleep(0.01)"#,
            )
            .bind(n + 1)
            .execute(&pool)
            .await
            .map(drop)
        });
    }
    for written in writers.join_all().await {
        written.unwrap();
    }
}

async fn writers_seen(server: &TestServer) -> Vec<(String, i64)> {
    sqlx::query_as(r#"SELECT writer, count(*) FROM "LedgerTip" GROUP BY writer"#)
        .fetch_all(&mut server.connection().await)
        .await
        .unwrap()
}

/// DB-01, G7: beside the primary are listed a true standby and an empty stand-alone server:
/// only the primary receives writes, and the others' refusals are counted.
#[tokio::test(flavor = "multi_thread")]
async fn db_01_among_listed_servers_only_the_primary_is_written_to() {
    let primary = migrated_server().await;
    let (standby, empty) = tokio::join!(primary.start_standby(), TestServer::start());
    let urls = [empty.url(), standby.url(), primary.url()];
    let settings = settings_of(&urls);
    let database = connect(&settings).await.unwrap();
    assert!(database.health().is_ok(), "{}", database.health());
    write_rows(&database, 60).await;

    assert_eq!(writers_seen(&primary).await, [(primary.port().to_string(), 60)]);
    let refusals = database.refusals();
    assert_eq!((refusals["empty"], refusals["read_only"]), (1, 1), "{refusals:?}");
    let report = crate::check(&settings).await.unwrap();
    let [empty_found, ..] = &report.findings[..] else { panic!("{report}") };
    assert!(empty_found.contains("cluster") || empty_found.contains("empty"), "{report}");
}

/// DB-01, G7: the same three behind one balanced address, as the incident had them.
#[tokio::test(flavor = "multi_thread")]
async fn db_01_behind_one_balanced_address_only_the_primary_is_written_to() {
    let primary = migrated_server().await;
    let (standby, empty) = tokio::join!(primary.start_standby(), TestServer::start());
    empty.take_password_of(&primary).await;
    let ports = [empty.port(), standby.port(), primary.port()];
    let balancer = balancer::start(ports.to_vec()).await;
    let url = primary.url().replace(&format!(":{}/", primary.port()), &format!(":{balancer}/"));
    let settings = settings_of(&[url]);
    let database = connect(&settings).await.unwrap();
    becomes(&database, Health::is_ok).await;
    write_rows(&database, 60).await;

    assert_eq!(writers_seen(&primary).await, [(primary.port().to_string(), 60)]);
    let refusals = database.refusals();
    assert!(refusals["read_only"] >= 1, "{refusals:?}");
    assert!(refusals["empty"] + refusals["other_cluster"] >= 1, "{refusals:?}");
}

/// G7: after a failover the pool follows the writer by itself, and the former one, back with
/// its old timeline, is refused even when it is all there is.
#[tokio::test(flavor = "multi_thread")]
async fn g7_a_failover_is_followed_and_a_former_writer_refused() {
    let mut primary = migrated_server().await;
    let standby = primary.start_standby().await;
    let database = connect(&settings_of(&[primary.url(), standby.url()])).await.unwrap();
    write_rows(&database, 5).await;
    wait_for_rows(&standby, 5).await;

    primary.crash();
    becomes(&database, |health| !health.is_ok()).await;
    standby.promote();
    let health = becomes(&database, Health::is_ok).await;
    let Health::Ok { instance } = health else { unreachable!("waited for it") };
    assert!(instance.contains(&standby.port().to_string()), "{instance}");
    let sql = r#"INSERT INTO "LedgerTip" VALUES ('later', 1, now(), now(), 'x')"#;
    raw_sql(sql).execute(database.pool()).await.unwrap();

    primary.restart().await;
    standby.crash();
    let named = |health: &Health| health.to_string().contains("a former writer");
    becomes(&database, named).await;
    assert!(database.refusals()["former_writer"] >= 1);
    assert_eq!(writers_seen(&primary).await.len(), 1, "nothing was written there later");
}

/// G7: a standby promoted while the primary lives on makes that a former writer at once: the
/// pool moves, and connections to the old one are not used again.
#[tokio::test(flavor = "multi_thread")]
async fn g7_a_primary_that_missed_its_successors_promotion_is_left() {
    let primary = migrated_server().await;
    let standby = primary.start_standby().await;
    let database = connect(&settings_of(&[primary.url(), standby.url()])).await.unwrap();
    write_rows(&database, 5).await;
    wait_for_rows(&standby, 5).await;
    standby.promote();
    let port = standby.port().to_string();
    let moved =
        |health: &Health| matches!(health, Health::Ok { instance } if instance.contains(&port));
    becomes(&database, moved).await;
    assert!(database.refusals()["former_writer"] >= 1, "{:?}", database.refusals());
    let ports: Vec<i32> =
        sqlx::query_scalar("SELECT inet_server_port() FROM generate_series(1, 3)")
            .fetch_all(database.pool())
            .await
            .unwrap();
    assert_eq!(ports, [i32::from(standby.port()); 3]);
    assert_eq!(writers_seen(&primary).await, [(primary.port().to_string(), 5)]);
}

async fn wait_for_rows(server: &TestServer, rows: i64) {
    let mut conn = server.connection().await;
    let deadline = Instant::now() + BOUND;
    let sql = r#"SELECT count(*) FROM "LedgerTip""#;
    while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut conn).await.unwrap() < rows {
        assert!(Instant::now() < deadline, "the standby does not follow");
        tokio::task::yield_now().await;
    }
}

/// RDY-07: a process starts while PostgreSQL is away, uses it when it comes, and again after
/// each crash, without being told.
#[tokio::test(flavor = "multi_thread")]
async fn rdy_07_an_absent_and_a_restarted_server_are_outlived() {
    let mut server = migrated_server().await;
    let settings = settings_of(&[server.url()]);
    server.crash();
    let database = connect(&settings).await.unwrap();
    assert!(matches!(database.health(), Health::Unreachable(_)), "{:?}", database.health());
    assert_unusable(&database).await;
    for _ in 0..2 {
        server.restart().await;
        becomes(&database, Health::is_ok).await;
        sqlx::query("SELECT 1").execute(database.pool()).await.unwrap();
        server.crash();
        becomes(&database, |health| !health.is_ok()).await;
    }
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
