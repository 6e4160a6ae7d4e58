//! Services and workers as processes of their own: they survive a loss of what they need, and stop
//! in good order.

use std::collections::BTreeMap;
use std::time::Duration;

use gx_db::testing::TestServer;
use gx_testkit::eventually;
use gx_testkit::http::{request, send};
use gx_testkit::story::{ServiceEndpoint, Services, registration};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use crate::journey::wait_for_grant;
use crate::role::{Ledger, Role};
use crate::stack::{BOUND, get};

/// RDY-05: without its database a worker is unready and alive; when the database is back, it is
/// ready.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_its_database_is_unready_and_alive() {
    let (mut server, ledger) = (migrated_server().await, Ledger::start().await);
    let projector = Role::start("projector", &server.url(), &ledger.env());
    projector.wait_for_readyz(200).await;

    server.crash();
    projector.wait_for_readyz(503).await;
    get(projector.address, "/livez").await.expect(200);
    server.restart().await;
    projector.wait_for_readyz(200).await;
}

/// A worker that has lost its database logs each failure once, and once that it works again.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_logs_a_lost_database_once() {
    let (mut server, ledger) = (migrated_server().await, Ledger::start().await);
    let settings = [ledger.env(), vec![("GX_LOG".to_owned(), "info".to_owned())]].concat();
    let start = |name| Role::start(name, &server.url(), &settings);
    let workers = [
        (start("outbox-submitter"), "submitter", "the outbox cannot be read or written"),
        (start("projector"), "projector", "the read model cannot be read or written"),
    ];
    for (worker, ..) in &workers {
        worker.wait_for_readyz(200).await;
    }
    server.crash();
    for (worker, _, failure) in &workers {
        wait_for_line(worker, failure).await;
    }
    server.restart().await;
    for (worker, name, failure) in &workers {
        let success = format!("the step of the {name} succeeds again");
        wait_for_line(worker, &success).await;
        worker.wait_for_readyz(200).await;
        let log = worker.stderr();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let (mut logged, mut successes) = (BTreeMap::new(), 0);
        for line in lines {
            let message = line["message"].as_str().unwrap_or_default();
            successes += usize::from(message.starts_with(&success));
            if message == *failure {
                *logged.entry(line["error"].to_string()).or_insert(0) += 1;
            }
        }
        assert!(logged.values().all(|count| *count <= successes + 1), "{logged:#?}");
    }
}

/// RDY-06: after SIGTERM during a request, the process becomes unready, the answer arrives whole,
/// and the process ends with 0.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_service_answers_the_requests_that_it_has_begun() {
    let server = migrated_server().await;
    // Long enough for the check of /readyz on a busy machine.
    let notice = [("GX_DRAIN_NOTICE_MS".to_owned(), "5000".to_owned())];
    let mut identity = Role::start("svc-identity", &server.url(), &notice);
    identity.wait_for_readyz(200).await;
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
    wait_until_blocked(&server).await;

    identity.signal("TERM");
    identity.wait_for_readyz(503).await;
    hold.rollback().await.unwrap();
    register.await.unwrap().unwrap().expect(200);
    assert!(identity.wait_for_exit().await.success());
}

/// RDY-06: after SIGTERM during slow endorsements, the submitter ends with 0 and holds no lane, and
/// its successor sends the commands once.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_submitter_leaves_no_lane_leased() {
    let (server, ledger) = (migrated_server().await, Ledger::start().await);
    let _projector = Role::start("projector", &server.url(), &ledger.env());
    let mut submitter = Role::start("outbox-submitter", &server.url(), &ledger.env());
    submitter.wait_for_readyz(200).await;
    ledger.faults().delay_endorsements(Duration::from_secs(2));
    bootstrap(&server).await;
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    wait_until_true(&mut sql, r#"SELECT EXISTS (SELECT FROM "OutboxTry")"#).await;

    submitter.signal("TERM");
    assert!(submitter.wait_for_exit().await.success());
    let leased: i64 = sqlx::query_scalar(
        r#"SELECT count(*) FROM "OutboxLane" WHERE owner IS NOT NULL AND "leaseUntil" > now()"#,
    )
    .fetch_one(&mut sql)
    .await
    .unwrap();
    assert_eq!(leased, 0);

    ledger.faults().delay_endorsements(Duration::ZERO);
    let _successor = Role::start("outbox-submitter", &server.url(), &ledger.env());
    wait_until_true(
        &mut sql,
        r#"SELECT count(*) = 2 FROM "OutboxCommand" WHERE status = 'COMMITTED'"#,
    )
    .await;
}

/// RDY-07, G1, G2: every process starts without database and ledger and keeps its pid until they
/// are there; four of them are killed during an approval each; every person is created once.
#[tokio::test(flavor = "multi_thread")]
async fn every_process_survives_missing_dependencies_and_kills() {
    const PEOPLE: u32 = 4;
    let (mut server, ledger) = (migrated_server().await, Ledger::start().await);
    let admin_password = create_administrator(&server);
    let url = server.url();
    server.crash();
    ledger.faults().refuse_connections(true);
    let names = ["svc-identity", "svc-tokenomics", "svc-admin", "outbox-submitter", "projector"];
    let mut roles = names.map(|name| Role::start(name, &url, &ledger.env()));
    for role in &mut roles {
        role.wait_for_readyz(503).await;
    }

    server.restart().await;
    ledger.faults().refuse_connections(false);
    for role in &mut roles {
        role.wait_for_readyz(200).await;
        assert!(role.is_alive(), "{} kept its pid", role.name);
    }
    bootstrap(&server).await;

    let mut people = Vec::new();
    for (n, killed) in (1..=PEOPLE).zip([3, 4, 0, 2]) {
        let gx = services_of(&roles);
        let person = gx.register(n).await;
        gx.submit(&person).await;
        let admin = gx.log_in_admin("ada@gx.example", admin_password).await;
        gx.approve(&admin, &person).await.expect(200);
        people.push(person);
        roles[killed].kill_and_restart().await;
    }
    for person in &people {
        wait_for_grant(&services_of(&roles), person).await;
    }
    let mut sql = PgConnection::connect(&url).await.unwrap();
    let created: i64 =
        sqlx::query_scalar(r#"SELECT count(*) FROM "EventLog" WHERE "eventName" = 'UserCreated'"#)
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(created, i64::from(PEOPLE));
}

/// CFG-02: one report lists everything that is wrong with the settings, without any secret.
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
        "GX_MASTER_KEY_FILE: is required and not set",
        "GX_DOCUMENT_STORE: is required and not set",
        "GX_KEY_STORE: is required and not set",
    ] {
        assert!(report.contains(wrong), "{wrong} is missing in:\n{report}");
    }
    assert!(!report.contains("hunter2"), "no secret is repeated:\n{report}");
}

/// CFG-04: in production svc-identity does not send mails whose links have the default addresses,
/// which lead to the reader's own machine: it does not start.
#[test]
fn cfg_04_production_refuses_links_to_the_readers_machine() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gx"))
        .arg("svc-identity")
        .env_clear()
        .envs([
            ("GX_ENV", "production"),
            ("DATABASE_URL", "postgres://gx@127.0.0.1:1/gx"),
            ("GX_MASTER_KEY_FILE", "/nonexistent"),
            ("GX_SMTP_URL", "smtps://mail.gx.example"),
            ("GX_DOCUMENT_STORE", "/nonexistent"),
            ("GX_KEY_STORE", "/nonexistent"),
            ("GX_ADMIN_LINK_BASE", "http://admin.gx.example"),
        ])
        .output()
        .unwrap();
    let report = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{report}");
    for wrong in ["GX_PUBLIC_URL: ", "http://localhost:3001", "GX_ADMIN_LINK_BASE: "] {
        assert!(report.contains(wrong), "{wrong} is missing in:\n{report}");
    }
}

/// FILE-05: in production svc-identity does not start without a malware scanner.
#[tokio::test(flavor = "multi_thread")]
async fn file_05_in_production_svc_identity_asks_for_a_scanner() {
    let settings = [("GX_ENV".to_owned(), "production".to_owned())];
    let mut identity = Role::start("svc-identity", "postgres://gx@localhost/gx", &settings);
    assert!(!identity.wait_for_exit().await.success());
    let said = identity.stderr();
    assert!(said.contains("GX_SCANNER: is required in production and not set"), "{said}");
}

/// A secret on the command line, where every user of the machine can read it, is refused and not
/// printed.
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

/// PRJ-16: the leading projector is stopped with its connections open: the server ends its session,
/// and the other projector leads and applies the next block. When the first one is continued, it is
/// the standby.
#[tokio::test(flavor = "multi_thread")]
async fn prj_16_a_stopped_projector_is_replaced_and_is_the_standby_when_it_continues() {
    const WITHIN: Duration = Duration::from_secs(30);
    let (server, ledger) = (migrated_server().await, Ledger::start().await);
    let mut settings = ledger.env();
    settings.push(("GX_LEADER_SILENCE_MS".to_owned(), "3000".to_owned()));
    let projector = || Role::start("projector", &server.url(), &settings);
    let first = projector();
    wait_for_role(&first, "leader", BOUND).await;
    let second = projector();
    wait_for_role(&second, "standby", BOUND).await;
    let _submitter = Role::start("outbox-submitter", &server.url(), &ledger.env());
    first.signal("STOP");
    bootstrap(&server).await;
    wait_for_role(&second, "leader", WITHIN).await;
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    let committed = r#"SELECT count(*) = 2 FROM "OutboxCommand" WHERE status = 'COMMITTED'"#;
    wait_until_true(&mut sql, committed).await;

    first.signal("CONT");
    wait_for_role(&first, "standby", BOUND).await;
    wait_for_role(&second, "leader", BOUND).await;
    let once = r#"SELECT count(*) = 2 FROM "EventLog"
                  WHERE "eventName" IN ('SystemBootstrapped', 'CountryDataInitialized')"#;
    wait_until_true(&mut sql, once).await;
}

/// Waits until a projector has a role.
async fn wait_for_role(projector: &Role, role: &str, bound: Duration) {
    eventually(&format!("a projector is {role}"), bound, async || {
        let ask = request(http::Method::GET, "/health", None, None);
        let reply = send(projector.address, ask).await.ok()?;
        (reply.json["checks"]["projection"]["value"]["role"] == role).then_some(())
    })
    .await;
}

/// DB-08: a svc-identity is stopped inside a transaction that locks a person's row. An
/// administrator who locks the account is asked to come back and is served soon; health names the
/// session; the process serves again when it is continued.
#[tokio::test(flavor = "multi_thread")]
async fn db_08_a_service_stopped_inside_a_transaction_does_not_block_others() {
    let server = migrated_server().await;
    let password = create_administrator(&server);
    let idle = ("DATABASE_IDLE_TRANSACTION_TIMEOUT_MS".to_owned(), "8000".to_owned());
    // On a slow machine, too, the change must still wait when the process is stopped.
    let patient = ("DATABASE_LOCK_TIMEOUT_MS".to_owned(), "120000".to_owned());
    let frozen = Role::start("svc-identity", &server.url(), &[idle, patient]);
    let admin = Role::start("svc-admin", &server.url(), &[]);
    frozen.wait_for_readyz(200).await;
    admin.wait_for_readyz(200).await;
    let people = ServiceEndpoint::Tcp(frozen.address);
    let registered = people.post("/api/v1/auth/register", None, &registration(1)).await;
    let administrators = ServiceEndpoint::Tcp(admin.address);
    let credentials = serde_json::json!({ "email": "ada@gx.example", "password": password });
    let ada = administrators.post("/api/v1/admin/auth/login", None, &credentials).await;

    let mut holder = PgConnection::connect(&server.url()).await.unwrap();
    let mut holds = holder.begin().await.unwrap();
    sqlx::query(r#"SELECT FROM "UserProfile" FOR UPDATE"#).execute(&mut *holds).await.unwrap();
    let changing = {
        let token = registered.str("/accessToken").to_owned();
        let change = serde_json::json!({ "firstName": "Sara" });
        tokio::spawn(async move {
            let path = "/api/v1/users/me";
            let patch = request(http::Method::PATCH, path, Some(&token), Some(&change));
            people.try_send(patch).await.map(|reply| reply.status.as_u16())
        })
    };
    wait_until_blocked(&server).await;
    frozen.signal("STOP");
    holds.rollback().await.unwrap();
    let stands_still = "SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE application_name = 'gx svc-identity' AND state = 'idle in transaction')";
    wait_until_true(&mut holder, stands_still).await;

    let lock = format!("/api/v1/admin/users/{}/lock", registered.str("/user/profileId"));
    let reason = serde_json::json!({ "reason": "a drill" });
    eventually("the account is locked", BOUND, async || {
        let reply = administrators.post(&lock, Some(ada.str("/accessToken")), &reason).await;
        let code = reply.json["code"].as_str().unwrap_or("no problem").to_owned();
        assert!(["no problem", "temporarily_locked"].contains(&&*code), "{}", reply.text);
        (reply.status.is_success()).then_some(())
    })
    .await;
    let health = get(admin.internal, "/health").await.json["checks"]["databaseLocks"].clone();
    let names = health["message"].as_str().unwrap_or_default();
    assert!(names.contains("(gx svc-identity, "), "{health}");

    frozen.signal("CONT");
    let answer = changing.await.unwrap();
    assert!(answer.as_ref().is_ok_and(|status| [503, 504].contains(status)), "{answer:?}");
    frozen.wait_for_readyz(200).await;
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

/// Enqueues the commands that create the supply and the countries.
pub(crate) async fn bootstrap(server: &TestServer) {
    use gx_model::{Clock, Command, CommandId, CountryList};
    let countries = CountryList::embedded().iter().cloned().collect();
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    for command in [Command::BootstrapSystem {}, Command::InitializeCountryData { countries }] {
        let new = gx_outbox::enqueue::NewCommand {
            command_id: CommandId::derive(&[command.kind().name()]),
            command: &command,
            profile_id: None,
            requested_by: "story",
            request_id: None,
        };
        gx_outbox::enqueue::enqueue(&mut sql, new, Clock::system().now()).await.unwrap();
    }
}

/// Creates the administrator Ada and returns her password.
pub(crate) fn create_administrator(server: &TestServer) -> &'static str {
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

fn services_of(roles: &[Role; 5]) -> Services {
    let endpoint = |at: usize| ServiceEndpoint::Tcp(roles[at].address);
    Services { identity: endpoint(0), tokenomics: endpoint(1), admin: endpoint(2) }
}

/// Waits until the role has logged this text.
async fn wait_for_line(role: &Role, text: &str) {
    let what = format!("{} logs: {text}", role.name);
    eventually(&what, BOUND, async || role.stderr().contains(text).then_some(())).await;
}

/// Waits until a session waits for a lock.
async fn wait_until_blocked(server: &TestServer) {
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    wait_until_true(&mut sql, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").await;
}

/// Waits until a statement returns true.
async fn wait_until_true(sql: &mut PgConnection, question: &'static str) {
    let sql = tokio::sync::Mutex::new(sql);
    eventually(question, BOUND, async || {
        let answer: bool =
            sqlx::query_scalar(question).fetch_one(&mut **sql.lock().await).await.unwrap();
        answer.then_some(())
    })
    .await;
}

/// RDY-03: a lag limit that is zero, negative or not a number is refused with the setting and its
/// range. With a limit of one year a service starts, and log, health and metric say that the limit
/// is too high.
#[tokio::test(flavor = "multi_thread")]
async fn a_lag_limit_has_a_range_and_warns_above_a_day() {
    const SETTING: &str = "PROJECTION_LAG_THRESHOLD_MS";
    let (server, ledger) = (migrated_server().await, Ledger::start().await);
    let _projector = Role::start("projector", &server.url(), &ledger.env());
    let with = |limit: &str| {
        let settings = [(SETTING.to_owned(), limit.to_owned())];
        Role::start("svc-identity", &server.url(), &settings)
    };
    for nonsense in ["0", "-1", "soon"] {
        let mut refused = with(nonsense);
        assert!(!refused.wait_for_exit().await.success(), "{nonsense}");
        let said = refused.stderr();
        assert!(said.contains(SETTING) && said.contains("from 1 to 86400000"), "{said}");
    }
    let year = with("31536000000");
    year.wait_for_readyz(200).await;
    assert!(year.stderr().contains(&format!("{SETTING} is above 24 h")), "{}", year.stderr());
    eventually("health says that the limit is too high", BOUND, async || {
        let check = get(year.address, "/health").await.json["checks"]["projectionLag"].clone();
        let message = check["message"].as_str()?;
        let is_too_high = message.contains(&format!("{SETTING} is above 24 h"));
        (is_too_high && check["value"]["threshold"] == 31_536_000_000_u64).then_some(())
    })
    .await;
    let metrics = get(year.internal, "/metrics").await.text;
    let warned = "gx_projection_lag_threshold_too_high{service=\"svc-identity\"} 1";
    assert!(metrics.lines().any(|line| line == warned), "{metrics}");
    let usual = with("86400000");
    usual.wait_for_readyz(200).await;
    let metrics = get(usual.internal, "/metrics").await.text;
    assert!(metrics.lines().any(|line| line == warned.replace("} 1", "} 0")), "{metrics}");
}
