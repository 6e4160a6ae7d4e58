//! Tests behind every installed PgBouncer.

use std::time::Duration;

use gx_model::Clock;
use secrecy::SecretString;

use super::*;
use crate::testing::pgbouncer::{PgBouncer, Program};
use crate::testing::{TestDatabase, limit_sessions};
use crate::{Database, DatabaseSettings, check, connect, connect_for_migration, upgrade};

const BOUND: Duration = Duration::from_secs(120);

fn settings(url: &str) -> DatabaseSettings {
    let mut settings = DatabaseSettings::from_url(SecretString::from(url.to_owned()));
    settings.database_connect_timeout_ms = 60_000;
    settings.database_acquire_timeout_ms = 60_000;
    settings.database_recheck_ms = 100;
    settings
}

/// Returns the pooler in front of the database.
async fn found(url: &str) -> Option<Pooler> {
    let [endpoint] = &settings(url).endpoints().unwrap()[..] else { panic!("one instance") };
    open(endpoint, "test").await.unwrap().1
}

async fn refused(database: &Database, said: &str) {
    let health = database.health();
    assert!(!health.is_ok(), "{health}");
    assert!(health.to_string().contains(said), "{health}");
    assert!(database.refusals()["pooler"] >= 1, "{:?}", database.refusals());
    database.connection().await.unwrap_err();
    let waiting = tokio::time::timeout(Duration::from_millis(300), database.pool().acquire());
    assert!(waiting.await.is_err(), "a connection was handed out");
}

/// DB-11: a server is not a pooler, and neither is PgBouncer in session mode: roles that need
/// sessions work behind it.
#[tokio::test(flavor = "multi_thread")]
async fn db_11_a_server_and_a_session_pooler_are_not_refused() {
    let test = TestDatabase::create().await;
    assert_eq!(found(test.url()).await, None);
    for program in Program::all() {
        let bouncer = PgBouncer::start(&program, test.url(), &[("pool_mode", "session")]).await;
        let url = bouncer.url(test.url());
        assert_eq!(found(&url).await, None, "{program:?}");
        connect_for_migration(&settings(&url)).await.unwrap();
        let report = check(&settings(&url)).await.unwrap();
        assert_eq!(report.findings, Vec::<String>::new(), "{program:?}");
    }
}

/// DB-11: a pooler in transaction mode that forgets prepared statements is recognised and rejected
/// by name, by services and by `gx db check`: PgBouncer before 1.21, and a newer one that is
/// configured to forget them.
#[tokio::test(flavor = "multi_thread")]
async fn db_11_a_pooler_that_forgets_statements_is_refused_by_name() {
    let test = TestDatabase::create().await;
    limit_sessions(&mut test.connection().await).await;
    for program in Program::all() {
        let forgets = [("max_prepared_statements", "0")];
        let forgets = if program.keeps_statements() { &forgets[..] } else { &[] };
        let bouncer = PgBouncer::start(&program, test.url(), forgets).await;
        let url = bouncer.url(test.url());
        let pooler = found(&url).await.expect("it is recognised");
        assert!(!pooler.keeps_statements, "{program:?}");

        let database = connect(&settings(&url)).await.unwrap();
        refused(&database, "PgBouncer before 1.21").await;
        let report = check(&settings(&url)).await.unwrap();
        let findings = report.findings.join("\n");
        assert!(findings.contains("cannot be used: a pooler in transaction mode"), "{findings}");
        assert!(findings.contains("PgBouncer before 1.21"), "{findings}");
    }
}

/// DB-11: roles that need sessions reject every pooler in transaction mode by name, including one
/// that services work behind: workers, and migrations.
#[tokio::test(flavor = "multi_thread")]
async fn db_11_what_needs_sessions_refuses_every_transaction_pooler() {
    let test = TestDatabase::create().await;
    limit_sessions(&mut test.connection().await).await;
    for program in Program::all() {
        let bouncer = PgBouncer::start(&program, test.url(), &[]).await;
        let settings = settings(&bouncer.url(test.url()));
        let database = connect(&settings.with_sessions()).await.unwrap();
        refused(&database, "needs sessions of its own").await;

        let error = connect_for_migration(&settings).await.unwrap_err().to_string();
        assert!(error.contains("needs sessions of its own"), "{program:?}: {error}");
        let error = upgrade(&settings, &Clock::system(), |_| {}).await.unwrap_err();
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(reason.contains("needs sessions of its own"), "{program:?}: {reason}");
    }
}

/// DB-11, DB-08: GX cannot limit the server's sessions behind a pooler; if the operator has not,
/// the pooler is rejected with the remedy.
#[tokio::test(flavor = "multi_thread")]
async fn db_11_a_pooler_whose_sessions_have_no_limits_is_refused() {
    let test = TestDatabase::create().await;
    let bouncer = PgBouncer::start(&Program::newest(), test.url(), &[]).await;
    let url = bouncer.url(test.url());
    let pooler = found(&url).await.expect("it is recognised");
    assert!(pooler.keeps_statements);
    assert_eq!(pooler.without_limits, LIMITS);
    let database = connect(&settings(&url)).await.unwrap();
    refused(&database, "ALTER ROLE").await;
}

/// DB-11: the options of a URL that PgBouncer rejects are named.
#[tokio::test(flavor = "multi_thread")]
async fn db_11_options_that_a_pooler_refuses_are_named() {
    let test = TestDatabase::create().await;
    for program in Program::all() {
        let bouncer = PgBouncer::start(&program, test.url(), &[]).await;
        let url = format!("{}?schema=public", bouncer.url(test.url()));
        let database = connect(&settings(&url)).await.unwrap();
        let health = database.health().to_string();
        assert!(health.contains("refuses `schema` and `options`"), "{program:?}: {health}");
    }
}

/// DB-11: behind a PgBouncer that keeps prepared statements, many connections share few sessions,
/// and all their statements succeed, also while the schema grows.
#[tokio::test(flavor = "multi_thread")]
async fn db_11_behind_a_pooler_that_keeps_statements_everything_succeeds() {
    const WRITERS: i32 = 16;
    const ROWS: i32 = 40;
    let test = TestDatabase::create().await;
    limit_sessions(&mut test.connection().await).await;
    let bouncer = PgBouncer::start(&Program::newest(), test.url(), &[]).await;
    let mut settings = settings(&bouncer.url(test.url()));
    settings.database_max_connections = WRITERS.unsigned_abs();
    let database = connect(&settings).await.unwrap();
    assert!(database.health().is_ok(), "{}", database.health());
    let report = check(&settings).await.unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    assert!(report.to_string().contains("behind a pooler in transaction mode"), "{report}");

    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let pool = database.pool().clone();
        writers.spawn(async move {
            for row in 0..ROWS {
                let mut tx = pool.begin().await?;
                sqlx::query(
                    r#"INSERT INTO "LedgerTip" (channel, height, "firstSeenAt", "contactAt", writer)
                       VALUES ($1, $2, now(), now(), 'test')"#,
                )
                .bind(format!("channel {writer}"))
                .bind(row + 1)
                .execute(&mut *tx)
                .await?;
                tx.commit().await?;
                let sql = r#"SELECT count(*) FROM "LedgerTip" WHERE channel = $1"#;
                let rows: i64 = sqlx::query_scalar(sql)
                    .bind(format!("channel {writer}"))
                    .fetch_one(&pool)
                    .await?;
                assert_eq!(rows, i64::from(row) + 1);
            }
            Ok::<_, sqlx::Error>(())
        });
    }
    let grown = r#"ALTER TABLE "LedgerTip" ADD COLUMN colour text"#;
    crate::testing::apply_future_migration(&mut test.connection().await, grown).await;
    for written in tokio::time::timeout(BOUND, writers.join_all()).await.unwrap() {
        written.unwrap();
    }
    assert!(database.health().is_ok(), "{}", database.health());
}
