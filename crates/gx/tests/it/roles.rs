//! The roles as processes of their own: they outlive what they depend on, and end in order.

use std::time::Duration;

use gx_db::testing::TestServer;
use gx_testkit::eventually;
use gx_testkit::http::{request, send};
use gx_testkit::story::{Door, Gx, Person, registration};
use sqlx::{Connection as _, PgConnection};

use crate::role::{Ledger, Role};
use crate::stack::{BOUND, get};

/// RDY-05: without its database a worker is unready and alive; with it again, ready.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_its_database_is_unready_and_alive() {
    let (mut server, ledger) = (migrated_server().await, Ledger::start().await);
    let projector = Role::start("projector", &server.url(), &ledger.env());
    projector.becomes(200).await;

    server.crash();
    projector.becomes(503).await;
    get(projector.address, "/livez").await.expect(200);
    server.restart().await;
    projector.becomes(200).await;
}

/// RDY-06: SIGTERM while a request is being answered: the process becomes unready, the answer
/// arrives whole, and the process ends with 0.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_told_to_stop_answers_what_it_has_begun() {
    let server = migrated_server().await;
    let mut identity = Role::start("svc-identity", &server.url(), &[]);
    identity.becomes(200).await;
    let mut holder = PgConnection::connect(&server.url()).await.unwrap();
    let mut hold = holder.begin().await.unwrap();
    sqlx::query(r#"LOCK TABLE "UserProfile" IN ACCESS EXCLUSIVE MODE"#)
        .execute(&mut *hold)
        .await
        .unwrap();
    let address = identity.address;
    let register = tokio::spawn(async move {
        let json = registration(1);
        send(address, request(http::Method::POST, "/api/v1/auth/register", None, Some(&json))).await
    });
    waits_for_lock(&server).await;

    identity.signal("TERM");
    identity.becomes(503).await;
    hold.rollback().await.unwrap();
    register.await.unwrap().unwrap().expect(200);
    assert!(identity.ended().await.success());
}

/// RDY-06: SIGTERM while the ledger is slow to endorse: the submitter ends with 0, holds no
/// lane, and what it had begun is done once by its successor.
#[tokio::test(flavor = "multi_thread")]
async fn a_submitter_told_to_stop_leaves_no_lane_behind() {
    let (server, ledger) = (migrated_server().await, Ledger::start().await);
    let _projector = Role::start("projector", &server.url(), &ledger.env());
    let mut submitter = Role::start("outbox-submitter", &server.url(), &ledger.env());
    submitter.becomes(200).await;
    ledger.faults().slow_endorsements(Duration::from_secs(2));
    bring_to_life(&server).await;
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    is_true(&mut sql, r#"SELECT EXISTS (SELECT FROM "OutboxTry")"#).await;

    submitter.signal("TERM");
    assert!(submitter.ended().await.success());
    let leased: i64 = sqlx::query_scalar(
        r#"SELECT count(*) FROM "OutboxLane" WHERE owner IS NOT NULL AND "leaseUntil" > now()"#,
    )
    .fetch_one(&mut sql)
    .await
    .unwrap();
    assert_eq!(leased, 0);

    ledger.faults().slow_endorsements(Duration::ZERO);
    let _successor = Role::start("outbox-submitter", &server.url(), &ledger.env());
    is_true(&mut sql, r#"SELECT count(*) = 2 FROM "OutboxCommand" WHERE status = 'COMMITTED'"#)
        .await;
}

/// RDY-07, G1, G2: every process starts without database and ledger and keeps its pid until
/// they are there; each is killed while people are on their way; everybody arrives, once.
#[tokio::test(flavor = "multi_thread")]
async fn every_process_outlives_what_it_depends_on_and_its_own_death() {
    const PEOPLE: u32 = 4;
    let (mut server, ledger) = (migrated_server().await, Ledger::start().await);
    let admin_password = create_administrator(&server);
    let url = server.url();
    server.crash();
    ledger.faults().refuse_connections(true);
    let names = ["svc-identity", "svc-tokenomics", "svc-admin", "outbox-submitter", "projector"];
    let mut roles = names.map(|name| Role::start(name, &url, &ledger.env()));
    for role in &mut roles {
        role.becomes(503).await;
    }

    server.restart().await;
    ledger.faults().refuse_connections(false);
    for role in &mut roles {
        role.becomes(200).await;
        assert!(role.is_alive(), "{} kept its pid", role.name);
    }
    bring_to_life(&server).await;

    let mut people = Vec::new();
    for (n, killed) in (1..=PEOPLE).zip([3, 4, 0, 2]) {
        let gx = doors(&roles);
        let person = gx.register(n).await;
        gx.submit(&person).await;
        let admin = gx.log_in_admin("ada@gx.example", admin_password).await;
        gx.approve(&admin, &person).await.expect(200);
        people.push(person);
        roles[killed].kill_and_restart().await;
    }
    for person in &people {
        holds_the_grant(&doors(&roles), person).await;
    }
    let mut sql = PgConnection::connect(&url).await.unwrap();
    let created: i64 =
        sqlx::query_scalar(r#"SELECT count(*) FROM "EventLog" WHERE "eventName" = 'UserCreated'"#)
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(created, i64::from(PEOPLE));
}

/// CFG-02: everything that is wrong with the settings stands in one report, secrets left out.
#[test]
fn a_start_with_wrong_settings_reports_all_of_them() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gx"))
        .arg("svc-admin")
        .env_clear()
        .envs([
            ("PROJECTION_LAG_THRESHOLD_MS", "0"),
            ("GX_PASSWORD_PASSES", "no"),
            ("JWT_SECRET", "hunter2hunter2"),
            ("GX_TOKEN_ISUER", "misspelt"),
        ])
        .output()
        .unwrap();
    let report = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for wrong in [
        "PROJECTION_LAG_THRESHOLD_MS",
        "GX_PASSWORD_PASSES",
        "JWT_SECRET",
        "GX_TOKEN_ISUER: is unknown; did you mean GX_TOKEN_ISSUER?",
        "GX_BIOMETRIC_KEY: is required and not set",
    ] {
        assert!(report.contains(wrong), "{wrong} is missing in:\n{report}");
    }
    assert!(!report.contains("hunter2"), "no secret is repeated:\n{report}");
}

/// A secret on the command line is refused, and not repeated: there everybody can read it.
#[test]
fn a_secret_on_the_command_line_is_refused() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gx"))
        .args(["db", "check", "--database-url", "postgres://gx:hunter2@localhost/gx"])
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("DATABASE_URL: is a secret"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

pub(crate) async fn migrated_server() -> TestServer {
    let server = TestServer::start().await;
    let migrated = gx(&server, &["db", "migrate"]);
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    server
}

fn gx(server: &TestServer, args: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_gx"))
        .args(args)
        .env("DATABASE_URL", server.url())
        .output()
        .unwrap()
}

/// Wants supply and countries, as an operator's first commands do.
pub(crate) async fn bring_to_life(server: &TestServer) {
    use gx_model::{Clock, Command, CommandId, CountryList};
    let countries = CountryList::embedded().iter().cloned().collect();
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    for command in [Command::BootstrapSystem {}, Command::InitializeCountryData { countries }] {
        let new = gx_outbox::NewCommand {
            command_id: CommandId::derive(&[command.kind().name()]),
            command: &command,
            profile_id: None,
            requested_by: "story",
            request_id: None,
        };
        gx_outbox::enqueue(&mut sql, new, Clock::system().now()).await.unwrap();
    }
}

/// Creates Ada with a password from a file descriptor; the password.
fn create_administrator(server: &TestServer) -> &'static str {
    use std::io::Write as _;
    const PASSWORD: &str = "seven green lanterns float";
    let mut create = std::process::Command::new(env!("CARGO_BIN_EXE_gx"))
        .args([
            "admin",
            "create",
            "--email",
            "ada@gx.example",
            "--name",
            "Ada",
            "--role",
            "SUPER_ADMIN",
        ])
        .env("DATABASE_URL", server.url())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(create.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    assert!(create.wait().unwrap().success());
    PASSWORD
}

fn doors(roles: &[Role; 5]) -> Gx {
    let door = |at: usize| Door::Tcp(roles[at].address);
    Gx { identity: door(0), tokenomics: door(1), admin: door(2) }
}

async fn holds_the_grant(gx: &Gx, person: &Person) {
    eventually("the wallet holds 500 GX", BOUND, async || {
        (gx.wallet(person).await?.json["balance"] == "500").then_some(())
    })
    .await;
}

async fn waits_for_lock(server: &TestServer) {
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    is_true(&mut sql, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").await;
}

async fn is_true(sql: &mut PgConnection, question: &'static str) {
    let sql = tokio::sync::Mutex::new(sql);
    eventually(question, BOUND, async || {
        let answer: bool =
            sqlx::query_scalar(question).fetch_one(&mut **sql.lock().await).await.unwrap();
        answer.then_some(())
    })
    .await;
}

/// RDY-03: a lag limit of zero, a negative one and one that is no number are refused with the
/// setting and its range. One of a year starts, and says in log, health and metric that it
/// hides a projector that stands still.
#[tokio::test(flavor = "multi_thread")]
async fn a_lag_limit_has_a_range_and_warns_above_a_day() {
    const SETTING: &str = "PROJECTION_LAG_THRESHOLD_MS";
    let server = migrated_server().await;
    let with = |limit: &str| {
        let settings = [(SETTING.to_owned(), limit.to_owned())];
        Role::start("svc-identity", &server.url(), &settings)
    };
    for nonsense in ["0", "-1", "soon"] {
        let mut refused = with(nonsense);
        assert!(!refused.ended().await.success(), "{nonsense}");
        let said = refused.said();
        assert!(said.contains(SETTING) && said.contains("from 1 to 86400000"), "{said}");
    }
    let year = with("31536000000");
    year.becomes(200).await;
    assert!(year.said().contains(&format!("{SETTING} is above 24 h")), "{}", year.said());
    let check = get(year.address, "/health").await.json["checks"]["projectionLag"].clone();
    assert_eq!(check["value"]["threshold"].as_u64().unwrap_or(31_536_000_000), 31_536_000_000);
    let metrics = get(year.internal, "/metrics").await.text;
    let warned = "gx_projection_lag_threshold_too_high{service=\"svc-identity\"} 1";
    assert!(metrics.lines().any(|line| line == warned), "{metrics}");
    let usual = with("86400000");
    usual.becomes(200).await;
    let metrics = get(usual.internal, "/metrics").await.text;
    assert!(metrics.lines().any(|line| line == warned.replace("} 1", "} 0")), "{metrics}");
}
