//! Rate limits over several services that share a Redis, which is killed, frozen and started again.

use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_documents::testing::documents_of;
use gx_model::Clock;
use gx_serve::{Entropy, HealthBoard, RateLimitSettings};
use gx_testkit::http::{Reply, request};
use gx_testkit::story::ServiceEndpoint;
use gx_testkit::{RedisServer, eventually, parts};
use http::Method;
use serde_json::{Value, json};

/// Limit of the wait for a service to find Redis again.
const BOUND: Duration = Duration::from_secs(60);
/// A wait for Redis that no busy machine reaches.
const PATIENT_MS: u64 = 60_000;

/// One of the processes that share a Redis, as a router.
struct Process {
    identity: ServiceEndpoint,
    health: HealthBoard,
    _database: TestDatabase,
}

impl Process {
    async fn start(redis: &RedisServer, redis_timeout_ms: u64) -> Self {
        let limits = RateLimitSettings {
            redis_url: Some(redis.url().parse().unwrap()),
            redis_timeout_ms,
            limit_login: "9/24h".parse().unwrap(),
            limit_login_client: "9/24h".parse().unwrap(),
            limit_register: "9/24h".parse().unwrap(),
            ..RateLimitSettings::default()
        };
        let database = TestDatabase::create().await;
        let pool = gx_db::connect(&database.settings()).await.unwrap();
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let base = parts::foundation_with_limits(limits, pool, "gxchannel", &clock, entropy);
        let documents = documents_of(&base);
        let service = gx_identity::service(&Default::default(), base, documents);
        Self {
            identity: ServiceEndpoint::Router(service.public(true)),
            health: service.health,
            _database: database,
        }
    }

    /// Sends sign-ins that are not valid, which are counted all the same, and returns the number of
    /// admitted ones.
    async fn sign_ins(&self, number: u32) -> u32 {
        self.admitted("/api/v1/auth/login", number).await
    }

    async fn registrations(&self, number: u32) -> u32 {
        self.admitted("/api/v1/auth/register", number).await
    }

    async fn admitted(&self, path: &str, number: u32) -> u32 {
        let mut admitted = 0;
        for _ in 0..number {
            match self.post(path, &json!({})).await.status.as_u16() {
                400 => admitted += 1,
                429 => {}
                other => panic!("{path} answers {other}"),
            }
        }
        admitted
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.identity.send(request(Method::POST, path, None, Some(body))).await
    }

    /// Returns status and message of the check of rate limits, and the status of the service.
    async fn check(&self) -> (String, String, String) {
        let report = serde_json::to_value(self.health.report().await).unwrap();
        let check = &report["checks"]["rateLimits"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&report["status"]), text(&check["status"]), text(&check["message"]))
    }

    async fn wait_for_redis(&self) {
        eventually("the service has found Redis again", BOUND, async || {
            (self.check().await.1 == "healthy").then_some(())
        })
        .await;
    }
}

/// Returns the value of a counter without labels.
fn counter(name: &str) -> u64 {
    let text = gx_serve::telemetry::metrics().render();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or(0)
}

/// SEC-API-04, API-05: two processes share one allowance, and Redis has no word of clients and
/// addresses.
#[tokio::test]
async fn two_processes_share_one_allowance() {
    let redis = RedisServer::start().await;
    let one = Process::start(&redis, PATIENT_MS).await;
    let other = Process::start(&redis, PATIENT_MS).await;
    let mut admitted = 0;
    for _ in 0..10 {
        admitted += one.sign_ins(1).await + other.sign_ins(1).await;
    }
    assert_eq!(admitted, 9);
    assert_eq!(one.registrations(5).await + other.registrations(20).await, 9);

    let body = json!({ "email": "sarah@gxtest.com", "password": "WrongPassword123!" });
    let refused = other.post("/api/v1/auth/login", &body).await;
    let policy = "\"login-client\";q=9;w=86400, \"login\";q=9;w=86400";
    assert_eq!(refused.headers["ratelimit-policy"], policy);
    let left = refused.headers["ratelimit"].to_str().unwrap();
    assert!(left.starts_with("\"login-client\";r=0;t="), "{left}");
    let keys = redis.keys().await;
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in &keys {
        let (_, hash) = key.rsplit_once(':').unwrap();
        assert!(hash.len() == 32 && !key.contains("unknown"), "{key}");
    }
    for process in [&one, &other] {
        let (_, check, message) = process.check().await;
        assert_eq!((&*check, &*message), ("healthy", ""));
    }
}

/// SEC-API-04, G8, G9: while Redis is dead, requests are answered and each process counts alone,
/// for sign-ins to a third; health and a metric say so. When Redis is back with nothing counted,
/// the processes share again, and neither admits more than it would alone.
#[tokio::test]
async fn a_dead_redis_stops_no_request_and_opens_no_door() {
    let mut redis = RedisServer::start().await;
    let one = Process::start(&redis, PATIENT_MS).await;
    let other = Process::start(&redis, PATIENT_MS).await;
    assert_eq!(one.sign_ins(3).await, 3);
    assert_eq!(one.registrations(3).await, 3);
    let failures = counter("gx_redis_failures_total");

    redis.kill().await;
    // What a process has admitted before counts against its third.
    assert_eq!((one.sign_ins(5).await, other.sign_ins(5).await), (0, 3));
    assert_eq!((one.registrations(20).await, other.registrations(4).await), (6, 4));
    let (service, check, message) = one.check().await;
    assert_eq!((&*service, &*check), ("degraded", "unhealthy"));
    assert!(message.contains("admits a third of the sign-ins"), "{message}");
    assert!(counter("gx_redis_failures_total") > failures);
    assert!(gx_serve::telemetry::metrics().render().contains("\ngx_redis_usable "));

    redis.restart().await;
    one.wait_for_redis().await;
    other.wait_for_redis().await;
    assert_eq!((one.sign_ins(20).await, other.sign_ins(20).await), (1, 4));
    assert_eq!((one.registrations(20).await, other.registrations(20).await), (0, 5));
}

/// SEC-API-04, G8, G9: a frozen Redis, which keeps its connections and answers nothing, stops no
/// request either.
#[tokio::test]
async fn a_frozen_redis_stops_no_request() {
    let redis = RedisServer::start().await;
    let process = Process::start(&redis, 50).await;
    process.wait_for_redis().await;
    redis.freeze();
    assert_eq!(process.sign_ins(20).await, 3);
    assert_eq!(process.registrations(20).await, 9);
    let (service, check, message) = process.check().await;
    assert_eq!((&*service, &*check), ("degraded", "unhealthy"));
    assert!(message.contains("no answer within 50 ms"), "{message}");
    redis.thaw();
    process.wait_for_redis().await;
}

/// SEC-API-04, G8, G9: a Redis that answers and cannot be written, as after a failover, is as good
/// as none, and health says so.
#[tokio::test]
async fn a_redis_that_cannot_be_written_stops_no_request() {
    let redis = RedisServer::start().await;
    let process = Process::start(&redis, PATIENT_MS).await;
    process.wait_for_redis().await;
    redis.make_read_only().await;
    let (service, check, message) = process.check().await;
    assert_eq!((&*service, &*check), ("degraded", "unhealthy"));
    assert!(message.contains("admits a third of the sign-ins"), "{message}");
    assert_eq!(process.sign_ins(20).await, 3);
    assert_eq!(process.registrations(4).await, 4);
    redis.make_writable().await;
    process.wait_for_redis().await;
    assert_eq!(process.registrations(20).await, 5);
}

/// A service starts without its Redis, and finds it when it comes.
#[tokio::test]
async fn a_service_starts_without_its_redis() {
    let mut redis = RedisServer::start().await;
    redis.kill().await;
    let process = Process::start(&redis, PATIENT_MS).await;
    assert_eq!(process.sign_ins(20).await, 3);
    redis.restart().await;
    process.wait_for_redis().await;
    assert_eq!(redis.keys().await, Vec::<String>::new());
    process.registrations(1).await;
    assert_eq!(redis.keys().await.len(), 1);
}
