//! Readiness, health, logs and documents of the service, also while the projector, the ledger or
//! the database is down.

mod document;
mod keys;
mod limits;
mod locked;
mod mail;
mod passkeys;
mod second_factors;
mod sessions;
mod takeover;
mod throttle;
mod verified_registration;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gx_auth::key_ring::new_line;
use gx_auth::testing::{Answer, CHANNEL, TestHost};
use gx_auth::{Foundation, KeyRing};
use gx_db::testing::TestDatabase;
use gx_documents::testing::{Form, documents_of, passport_form, selfie_form};
use gx_serve::telemetry::{self, LogFormat, LogSettings};
use gx_serve::{Entropy, Service};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::IdentitySettings;

/// Returns the service, with documents in a folder of their own.
pub(crate) fn service(settings: &IdentitySettings, base: Foundation) -> Service {
    let documents = documents_of(&base);
    crate::service(settings, base, documents)
}

pub(crate) async fn host() -> TestHost {
    TestHost::new(|base| service(&IdentitySettings::default(), base)).await
}

/// Sends a form with a document.
pub(crate) async fn send_form(
    host: &TestHost,
    method: &str,
    path: &str,
    token: &str,
    form: Form,
) -> Answer {
    host.ask(method, path).token(token).bytes(&form.content_type, form.body).send().await
}

/// Hands in a passport and a selfie, which a review needs.
pub(crate) async fn hand_in(host: &TestHost, token: &str) {
    for form in [passport_form(), selfie_form()] {
        let path = "/api/v1/users/me/kyc/documents";
        let answer = send_form(host, "POST", path, token, form).await;
        assert_eq!(answer.code(), 201, "{}", answer.text);
    }
}

/// Returns the service of the host with master keys of these versions, the first of which is
/// current. Version 1 is the key of the host.
fn service_with_keys(host: &TestHost, versions: &[i32]) -> Service {
    let line =
        |version: &i32| new_line(*version, &Entropy::seeded(u64::from(version.unsigned_abs()) - 1));
    let lines: Vec<String> = versions.iter().map(line).collect();
    let mut base = host.base.clone();
    base.key_ring = KeyRing::parse(&lines.join("\n"), Entropy::seeded(1)).unwrap();
    service(&IdentitySettings::default(), base)
}

/// API-01, SEC-API-06: a profile, its review and its sessions need their owner's session;
/// registration, sign-in and the signing keys are public.
#[tokio::test]
async fn every_route_that_is_not_public_needs_a_person() {
    let host = host().await;
    assert_eq!(
        host.check_access_of_people().await,
        [
            "/api/v1/auth/email/verification",
            "/api/v1/auth/email/verify",
            "/api/v1/auth/password/forgot",
            "/api/v1/auth/password/reset",
            "/api/v1/auth/register",
            "/api/v1/auth/login",
            "/api/v1/auth/passkeys/options",
            "/api/v1/auth/passkeys",
            "/api/v1/auth/refresh",
            "/.well-known/jwks.json"
        ]
    );
}

fn person(email: &str) -> Value {
    json!({ "fname": "Sarah", "lname": "Johnson", "email": email, "password": "SecurePassword123!",
            "dateOfBirth": "1992-08-20", "gender": "female" })
}

async fn checkpoint(host: &TestHost, block: i64, at: OffsetDateTime) {
    sqlx::query(
        r#"INSERT INTO "ProjectorState" (channel, "genesisHash", "blockNumber", "blockHash",
               "updatedAt") VALUES ($1, '\x00', $2, '\x00', $3)
           ON CONFLICT (channel) DO UPDATE SET "blockNumber" = $2, "updatedAt" = $3"#,
    )
    .bind(CHANNEL)
    .bind(block)
    .bind(at)
    .execute(host.database.pool())
    .await
    .unwrap();
}

/// Adds a sample of the ledger's height, as a worker does.
async fn sample(host: &TestHost, height: i64, first_seen: OffsetDateTime, contact: OffsetDateTime) {
    sqlx::query(
        r#"INSERT INTO "LedgerTip" VALUES ($1, $2, $3, $4, 'test')
           ON CONFLICT (channel, height) DO UPDATE SET "contactAt" = $4"#,
    )
    .bind(CHANNEL)
    .bind(height)
    .bind(first_seen)
    .bind(contact)
    .execute(host.database.pool())
    .await
    .unwrap();
}

/// RDY-01, G8: while the projector is behind for longer than the limit, the service is `degraded`
/// and ready; registration, login and reads work, and the gauge shows the lag.
#[tokio::test]
async fn a_stopped_projector_degrades_the_service_and_stops_no_request() {
    let host = host().await;
    let now = host.clock.now();
    checkpoint(&host, 9, now).await;
    sample(&host, 10, now, now).await;
    assert_eq!(host.get("/readyz", "").await.json["status"], "ready");

    host.clock.advance(Duration::from_secs(90_000));
    let later = host.clock.now();
    sample(&host, 422, now, later).await;
    let answer = host.get("/readyz", "").await;
    assert_eq!((answer.code(), answer.text_at("/status")), (200, "degraded"));
    let expected = json!({
        "status": "unhealthy", "critical": false, "message": "Projection lag exceeds threshold",
        "value": { "lagMs": 90_000_000, "threshold": 86_400_000, "lagBlocks": 412 },
    });
    assert_eq!(answer.json["checks"]["projectionLag"], expected);
    assert_eq!(answer.json["checks"]["database"], json!({ "status": "healthy", "critical": true }));
    assert_eq!(answer.json["service"], "svc-identity");
    let metrics = host.get("/metrics", "").await.text;
    let gauge = "gx_projection_lag_ms{service=\"svc-identity\"}";
    assert!(metrics.lines().any(|line| line.starts_with(gauge)), "{metrics}");

    let answer = host.post("/api/v1/auth/register", "", &person("sarah@gxtest.com")).await;
    assert_eq!(answer.code(), 200);
    assert_eq!(host.get("/api/v1/users/me", answer.text_at("/accessToken")).await.code(), 200);
    let login = json!({ "email": "sarah@gxtest.com", "password": "SecurePassword123!" });
    assert_eq!(host.post("/api/v1/auth/login", "", &login).await.code(), 200);
}

/// RDY-02: an idle ledger has no lag, however old the checkpoint is; the lag of an unreachable
/// ledger is unknown, with the time of the last contact, and the service stays ready.
#[tokio::test]
async fn an_idle_ledger_has_no_lag_and_a_lost_one_an_unknown_lag() {
    let host = host().await;
    let now = host.clock.now();
    let long_ago = now - time::Duration::days(30);
    checkpoint(&host, 9, long_ago).await;
    sample(&host, 10, long_ago, now).await;
    let answer = host.get("/readyz", "").await;
    assert_eq!((answer.code(), answer.text_at("/status")), (200, "ready"));
    assert_eq!(answer.json["checks"]["projectionLag"]["value"]["lagMs"], 0);

    host.clock.advance(Duration::from_secs(60));
    let answer = host.get("/readyz", "").await;
    assert_eq!((answer.code(), answer.text_at("/status")), (200, "degraded"));
    let check = &answer.json["checks"]["projectionLag"];
    assert_eq!(check["status"], "unknown");
    assert!(check["message"].as_str().unwrap().contains("2026-03-01 12:00"), "{check}");
    assert_eq!(check["value"], json!({ "ledger": "unavailable" }));
}

/// RDY-04: while a migration is missing, the service is not ready and names it, and no request
/// writes; after the migration the service is ready without a restart.
#[tokio::test]
async fn a_missing_migration_is_named_and_nothing_is_written_before_it_is_applied() {
    let database = TestDatabase::empty().await;
    let newest = gx_db::Migration::newest();
    let mut conn = database.connection().await;
    gx_db::migrate_to(&mut conn, newest.version - 1, &gx_model::Clock::system()).await.unwrap();
    let build = |base| service(&IdentitySettings::default(), base);
    let host = TestHost::with(database, Entropy::system(), build).await;
    let answer = host.get("/readyz", "").await;
    assert_eq!((answer.code(), answer.text_at("/status")), (503, "not_ready"));
    let check = &answer.json["checks"]["database"];
    assert_eq!(check["value"]["pendingMigrations"], json!([newest.name]));
    assert!(check["message"].as_str().unwrap().contains("gx db migrate"), "{check}");
    let answer = host.post("/api/v1/auth/register", "", &person("sarah@gxtest.com")).await;
    assert_eq!((answer.code(), answer.problem()), (503, "temporary_reduced_capacity"));
    assert!(answer.headers.contains_key("retry-after"));

    gx_db::migrate(&mut conn, &gx_model::Clock::system()).await.unwrap();
    assert_eq!(host.rows().await, 0);
    let mut health = host.base.database.health_changes();
    let ready = health.wait_for(gx_db::Health::is_ok);
    tokio::time::timeout(Duration::from_secs(120), ready).await.unwrap().unwrap();
    assert_eq!(host.get("/readyz", "").await.code(), 200);
    let answer = host.post("/api/v1/auth/register", "", &person("sarah@gxtest.com")).await;
    assert_eq!(answer.code(), 200);
}

/// LOG-04: while the database is down, the service is not ready, answers 503, and keeps running.
#[tokio::test]
async fn without_a_database_requests_are_refused_and_the_process_keeps_running() {
    let host = host().await;
    host.base.database.close().await;
    let answer = host.post("/api/v1/auth/register", "", &person("sarah@gxtest.com")).await;
    assert_eq!((answer.code(), answer.problem()), (503, "temporary_reduced_capacity"));
    assert_eq!(host.get("/readyz", "").await.code(), 503);
    assert_eq!(host.get("/livez", "").await.code(), 200);
}

/// SEC-API-01, SEC-API-08: documents and metrics are on the internal listener only; the pages that
/// a problem's `type` names are on the public one.
#[tokio::test]
async fn documents_and_metrics_are_on_the_internal_listener() {
    use tower::ServiceExt;
    let host = host().await;
    let status = async |router: axum::Router, path: &str| {
        let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        router.oneshot(request).await.unwrap().status().as_u16()
    };
    for path in ["/metrics", "/docs", "/openapi.json"] {
        assert_eq!(status(host.service.public(false), path).await, 404, "{path}");
        assert_eq!(status(host.service.public(true), path).await, 200, "{path}");
        assert_eq!(status(host.service.internal(), path).await, 200, "{path}");
    }
    for path in ["/livez", "/readyz", "/health", "/problems"] {
        assert_eq!(status(host.service.public(false), path).await, 200, "{path}");
    }
    let problem = host.get("/api/v1/users/me", "").await;
    let (page, anchor) = problem.text_at("/type").split_once('#').unwrap();
    assert!(host.get(page, "").await.text.contains(&format!("id=\"{anchor}\"")));
    let document = host.get("/openapi.json", "").await.json;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document, host.service.openapi);
}

/// LOG-01, LOG-02: log lines are JSON with a time in UTC, the request's id, the actor, the outcome
/// and the reason of a refusal; sign-ins and refusals are logged and counted; and no line has a
/// password, a token, a fact about a person or a line break of a request.
#[tokio::test]
async fn log_lines_have_outcomes_and_no_secrets() {
    let lines = Lines::default();
    let settings = LogSettings { log_format: LogFormat::Json, log: "info".to_owned() };
    let sink = lines.clone();
    let subscriber = telemetry::subscriber(&settings, move || sink.clone()).unwrap();
    let guard = tracing::subscriber::set_default(subscriber);
    let host = host().await;
    // Other tests make the same log calls without a subscriber, and a call that is just being
    // registered would stay silent. So each call is made once before it is checked.
    visit(&host, "sarah.j1@gxtest.com", "mine-1").await;
    tracing::callsite::rebuild_interest_cache();
    let answer = visit(&host, "sarah.j2@gxtest.com", "mine-2").await;
    let (token, id) = (answer.text_at("/accessToken"), answer.text_at("/user/profileId"));
    drop(guard);

    let text = lines.text();
    for secret in ["SecurePassword", "evil", "forged", "sarah.j", "Johnson", "1992-08-20", token] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let answered: Vec<&Value> = lines.iter().filter(|line| line["took_us"].is_u64()).collect();
    assert!(answered.iter().all(|line| {
        line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z'))
            && line["request_id"].is_string()
            && line["status"].is_u64()
    }));
    let texts =
        ["answered POST /api/v1/auth/login with 200", "answered POST /api/v1/auth/login with 401"];
    for text in texts {
        assert!(answered.iter().any(|line| line["message"] == text), "{text}");
    }
    let with = |key: &str, value: &str| answered.iter().find(|line| line[key] == value);
    assert_eq!(with("request_id", "mine-2").unwrap()["person"], id);
    for problem in ["invalid_credentials", "unauthenticated", "validation_failed"] {
        assert!(with("problem", problem).is_some(), "{problem}");
    }
    let said = |message: &str| lines.iter().any(|line| line["message"] == message);
    assert!(said(&format!("person {id} signed in")));
    assert!(said("a login was refused"));
    assert!(said("a token was rejected"));
    let metrics = host.get("/metrics", "").await.text;
    for counted in [
        "gx_logins_total{outcome=\"success\"}",
        "gx_logins_total{outcome=\"refused\"}",
        "gx_gate_refusals_total{code=\"unauthenticated\"}",
        "gx_problems_total{service=\"svc-identity\",code=\"validation_failed\"}",
    ] {
        assert!(metrics.contains(counted), "{counted}");
    }
}

/// Registers, signs in, is refused in each way, and reads the profile with that request id.
async fn visit(host: &TestHost, email: &str, request_id: &str) -> Answer {
    let answer = host.post("/api/v1/auth/register", "", &person(email)).await;
    let token = answer.text_at("/accessToken");
    let log_in = async |password: &str| {
        let body = json!({ "email": email, "password": password });
        host.post("/api/v1/auth/login", "", &body).await.code()
    };
    assert_eq!(log_in("SecurePassword123!").await, 200);
    assert_eq!(log_in("evil\n{\"level\":\"forged\"}").await, 401);
    let me = host.ask("GET", "/api/v1/users/me").token(token);
    me.header("x-request-id", request_id).send().await;
    host.get("/api/v1/users/me", "forged.token.here").await;
    host.post("/api/v1/auth/register", "", &json!({ "email": "evil\r\nheader@gxtest.com" })).await;
    answer
}

/// The written log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
