//! Services, workers and commands behind PgBouncer.

use gx_db::testing::pgbouncer::{PgBouncer, Program};
use gx_db::testing::{apply_future_migration, limit_sessions};
use gx_testkit::eventually;
use gx_testkit::story::{ServiceEndpoint, registration};
use sqlx::{Connection as _, PgConnection};

use crate::role::{Ledger, Role};
use crate::roles::migrated_server;
use crate::stack::{BOUND, get};

/// DB-11: behind a supported PgBouncer, svc-identity registers many people at the same time while
/// the schema grows, without an error. Workers and migrations refuse the pooler and name it.
#[tokio::test(flavor = "multi_thread")]
async fn db_11_services_work_behind_a_pooler_and_workers_refuse_it_by_name() {
    const PEOPLE: u32 = 24;
    let (server, ledger) = (migrated_server().await, Ledger::start().await);
    limit_sessions(&mut server.connection().await).await;
    let bouncer = PgBouncer::start(&Program::newest(), &server.url(), &[]).await;
    let pooled = bouncer.url(&server.url());
    let identity = Role::start("svc-identity", &pooled, &with_long_timeout(Vec::new()));
    identity.wait_for_readyz(200).await;
    let mut registering = tokio::task::JoinSet::new();
    for n in 1..=PEOPLE {
        let endpoint = ServiceEndpoint::Tcp(identity.address);
        registering.spawn(async move {
            endpoint.post("/api/v1/auth/register", None, &registration(n)).await.expect(200);
        });
    }
    let grown = r#"ALTER TABLE "UserProfile" ADD COLUMN colour text"#;
    apply_future_migration(&mut server.connection().await, grown).await;
    registering.join_all().await;
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    let people: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "UserProfile""#)
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(people, i64::from(PEOPLE));
    identity.wait_for_readyz(200).await;

    for worker in ["projector", "outbox-submitter"] {
        let worker = Role::start(worker, &pooled, &with_long_timeout(ledger.env()));
        wait_until_not_ready(&worker, "databaseInstance", "needs sessions of its own").await;
    }
    let said = run_failing(&pooled, &["db", "migrate"]);
    assert!(said.contains("needs sessions of its own"), "{said}");
}

/// DB-11: behind a pooler that forgets prepared statements, the service is not ready and `gx db
/// check` fails, and both name the reason.
#[tokio::test(flavor = "multi_thread")]
async fn db_11_a_pooler_that_forgets_statements_is_refused_by_service_and_check() {
    let server = migrated_server().await;
    limit_sessions(&mut server.connection().await).await;
    for program in Program::all() {
        let forgets = [("max_prepared_statements", "0")];
        let forgets = if program.keeps_statements() { &forgets[..] } else { &[] };
        let bouncer = PgBouncer::start(&program, &server.url(), forgets).await;
        let pooled = bouncer.url(&server.url());
        let identity = Role::start("svc-identity", &pooled, &with_long_timeout(Vec::new()));
        wait_until_not_ready(&identity, "database", "PgBouncer before 1.21").await;
        let said = run_failing(&pooled, &["db", "check"]);
        assert!(said.contains("PgBouncer before 1.21"), "{program:?}: {said}");
    }
}

/// Setting of a long timeout, so that a busy machine causes no finding.
const LONG_TIMEOUT: (&str, &str) = ("DATABASE_CONNECT_TIMEOUT_MS", "60000");

/// Returns the settings with a long timeout.
fn with_long_timeout(mut settings: Vec<(String, String)>) -> Vec<(String, String)> {
    settings.push((LONG_TIMEOUT.0.to_owned(), LONG_TIMEOUT.1.to_owned()));
    settings
}

/// Waits until the role is not ready because of a check with this message.
async fn wait_until_not_ready(role: &Role, check: &str, why: &str) {
    role.wait_for_readyz(503).await;
    eventually(&format!("{} says: {why}", role.name), BOUND, async || {
        let health = get(role.address, "/readyz").await.json;
        let message = health["checks"][check]["message"].as_str()?;
        message.contains(why).then_some(())
    })
    .await;
}

/// Runs a command that must fail and returns what it prints.
fn run_failing(database: &str, args: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gx"));
    let output =
        command.args(args).env("DATABASE_URL", database).envs([LONG_TIMEOUT]).output().unwrap();
    assert!(!output.status.success(), "{args:?} succeeds");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}
