//! Tests with their own servers: several at once, stopped, restarted, promoted.

mod balancer;

use super::*;
use crate::testing::TestServer;

async fn migrated_server() -> TestServer {
    let server = TestServer::start().await;
    migrate(&mut server.connection().await, &Clock::system()).await.unwrap();
    server
}

/// Writes `rows` rows at once over all connections of the pool. Each row names its server.
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

/// DB-01, G7: the primary is listed with a real standby and an empty server: only the primary
/// receives writes, and the rejections of the others are counted.
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

/// DB-01, G7: the same three servers behind one balanced address, as in the incident.
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

/// G7: after a failover the pool follows the writer, and rejects the former one, which comes back
/// with its old timeline, even if it is the only one.
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

/// G7: if a standby is promoted while the primary runs, the primary is a former writer at once: the
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

/// RDY-07: a process starts without PostgreSQL, uses it when it is there, and again after each
/// crash.
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
