//! The frame of a service, tested with a service of a few routes.

mod connections;
mod docs;
mod listeners;
mod manners;
mod rate_limits;
mod repeats;
mod reports;
mod settings;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use gx_model::Clock;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use time::macros::datetime;
use tokio::sync::Notify;
use tower::ServiceExt;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::fields::{Fields, FromFields, Text};
use crate::telemetry::{self, LogFormat, LogSettings};
use crate::{
    Entropy, FingerprintKeys, HealthBoard, Json, Opening, Problem, Reply, RequestLayer,
    RouteAccess, Routes, ServiceParts,
};
use crate::{RateLimitSettings, RateLimiter, RouteInfo, RouteLimit, Service};

/// Limit of every wait; longer means that a test hangs.
const BOUND: Duration = Duration::from_secs(120);

/// The body of `/echo`.
#[derive(ToSchema)]
struct Echo {
    #[schema(value_type = String, max_length = 12)]
    text: Text<12>,
}

impl FromFields for Echo {
    const BODY_LIMIT_BYTES: usize = crate::limits::BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { text: fields.required("text")? })
    }
}

#[utoipa::path(post, path = "/echo",
               responses((status = 200, description = "The text.", body = String)))]
async fn echo(Json(echo): Json<Echo>) -> Result<Reply<String>, Problem> {
    Ok(Reply::ok(echo.text.0))
}

#[utoipa::path(get, path = "/panic", responses((status = 200, description = "Never.")))]
async fn panics() -> StatusCode {
    panic!("a bug with a secret in it")
}

/// Tells when `/slow` has begun, and lets it end.
#[derive(Clone, Default)]
struct SlowRoute(Arc<(Notify, Notify)>);

#[utoipa::path(get, path = "/slow", responses((status = 200, description = "Later.")))]
async fn slow(State(slow_route): State<SlowRoute>) -> &'static str {
    slow_route.0.0.notify_one();
    slow_route.0.1.notified().await;
    "done"
}

#[utoipa::path(get, path = "/never", responses((status = 200, description = "Never.")))]
async fn never() -> &'static str {
    std::future::pending().await
}

/// More than the buffers of sockets hold.
const LARGE_BYTES: usize = 64 * 1024 * 1024;

#[utoipa::path(get, path = "/large", responses((status = 200, description = "Much.")))]
async fn large() -> Vec<u8> {
    vec![b'x'; LARGE_BYTES]
}

fn clock() -> Clock {
    Clock::manual(datetime!(2026-03-01 12:00:00 UTC))
}

fn a_service() -> Service {
    a_service_with(SlowRoute::default())
}

fn a_service_with(slow_route: SlowRoute) -> Service {
    a_service_within(slow_route, BOUND)
}

/// Creates a service with this time limit for each request.
fn a_service_within(slow_route: SlowRoute, time_limit: Duration) -> Service {
    a_service_with_limits(slow_route, |request_layer| request_layer.time_limit = time_limit)
}

fn a_service_with_limits(slow_route: SlowRoute, change: impl FnOnce(&mut RequestLayer)) -> Service {
    let clock = clock();
    let mut request_layer = RequestLayer::new("svc-test", clock.clone(), Entropy::system());
    change(&mut request_layer);
    let health = HealthBoard::new("svc-test", clock);
    let (fingerprint_keys, limits) = (fingerprint_keys(), generous_limits(&request_layer.clock));
    let parts = ServiceParts { health, database: None, request_layer, limits, fingerprint_keys };
    Routes::new("svc-test")
        .add(RouteAccess::Public, routes!(echo), &[])
        .limited(RouteLimit::General)
        .add(RouteAccess::Public, routes!(panics), &[])
        .limited(RouteLimit::General)
        .add(RouteAccess::Public, routes!(slow), &[])
        .limited(RouteLimit::General)
        .add(RouteAccess::Public, routes!(never), &[])
        .limited(RouteLimit::General)
        .add(RouteAccess::Public, routes!(large), &[])
        .limited(RouteLimit::General)
        .into_service(slow_route, parts)
}

/// Returns a key of fingerprints with one version.
pub(crate) fn fingerprint_keys() -> FingerprintKeys {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
    FingerprintKeys::new(1, [(1, key)].into())
}

/// Returns limits that tests about other things do not reach.
fn generous_limits(clock: &Clock) -> RateLimiter {
    RateLimiter::new(&RateLimitSettings::generous(), clock.clone(), fingerprint_keys())
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, http::HeaderMap, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (parts.status, parts.headers, json)
}

/// Waits until `holds` returns `true`.
async fn until(holds: impl Fn() -> bool) {
    let looking = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, looking).await.unwrap();
}

async fn get(router: &Router, path: &str) -> (u16, Value) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let (status, _, json) = ask(router, request).await;
    (status.as_u16(), json)
}

/// LOG-04: a panic in a handler is a 500 problem without its message, and the process lives.
#[tokio::test]
async fn a_panic_is_a_problem_and_the_process_lives() {
    let router = a_service().public(false);
    for _ in 0..2 {
        let (status, json) = get(&router, "/panic").await;
        assert_eq!((status, json["code"].as_str()), (500, Some("internal")));
        assert!(!json.to_string().contains("secret"));
    }
    assert_eq!(get(&router, "/livez").await.0, 200);
}

/// While a service is closed, no route answers and the probes do; once it is open it serves.
#[tokio::test]
async fn a_closed_service_answers_its_probes_only() {
    let opening = Opening::default();
    let router = a_service().closed_until(&opening).public(false);
    let request = || Request::post("/echo").header("content-type", "application/json");
    let echo = || request().body(r#"{"text":"hello"}"#.into()).unwrap();
    let (status, headers, json) = ask(&router, echo()).await;
    assert_eq!((status.as_u16(), json["code"].as_str()), (503, Some("temporary_reduced_capacity")));
    assert_eq!(headers["retry-after"], "2");
    for probe in ["/livez", "/readyz", "/health"] {
        assert_eq!(get(&router, probe).await.0, 200, "{probe}");
    }
    opening.open();
    assert_eq!(ask(&router, echo()).await.0, 200);
}

/// LOG-01: an error is logged under the id that the client can quote.
#[tokio::test]
async fn a_failure_is_logged_with_the_id_of_its_request() {
    let lines = Lines::default();
    let settings = LogSettings { log_format: LogFormat::Json, log: "warn".to_owned() };
    let sink = lines.clone();
    let subscriber = telemetry::subscriber(&settings, move || sink.clone()).unwrap();
    let _logging = tracing::subscriber::set_default(subscriber);
    let router = a_service().public(false);
    let (mut line, mut json) = (Value::Null, Value::Null);
    // Another test may be registering the same log calls, without a subscriber.
    for _ in 0..100 {
        tracing::callsite::rebuild_interest_cache();
        lines.0.lock().unwrap().clear();
        json = get(&router, "/panic").await.1;
        line = serde_json::from_slice(&lines.0.lock().unwrap()).unwrap_or_default();
        if line["span"].is_object() {
            break;
        }
    }
    let message = "the handler of GET /panic panicked; report the text in `error`";
    assert_eq!(line["message"], message);
    assert_eq!(line["method"], "GET");
    assert_eq!(line["route"], "/panic");
    assert_eq!(line["span"]["request_id"], json["requestId"]);
}

/// Log lines of a test.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An unknown method does not become a metric of its own.
#[tokio::test]
async fn made_up_methods_are_counted_as_one() {
    let router = a_service().public(false);
    for method in ["MADEUP1", "MADEUP2"] {
        let request = Request::builder().method(method).uri("/echo").body(Body::empty());
        assert_eq!(ask(&router, request.unwrap()).await.0, 405);
    }
    let text = telemetry::metrics().render();
    assert!(text.contains("method=\"other\"") && !text.contains("MADEUP"), "{text}");
}

/// SEC-API-01: every failure is a problem with all its members, whatever caused it.
#[tokio::test]
async fn every_failure_is_a_problem() {
    let router = a_service().public(false);
    let long = format!("/echo?{}", "x".repeat(9 * 1024));
    let large = "x".repeat(40 * 1024);
    let requests = [
        (404, Request::get("/nothing").body(Body::empty())),
        (405, Request::get("/echo").body(Body::empty())),
        (414, Request::post(&long).body(Body::empty())),
        (431, Request::post("/echo").header("x-large", large).body(Body::empty())),
        (415, Request::post("/echo").header("content-type", "text/plain").body("x".into())),
        (400, Request::post("/echo").header("content-type", "application/json").body("{".into())),
        (400, Request::post("/echo").body(Body::empty())),
        (413, Request::post("/echo").header("content-length", "99999999").body("{}".into())),
        (500, Request::get("/panic").body(Body::empty())),
        (504, Request::get("/never").body(Body::empty())),
    ];
    let impatient = a_service_within(SlowRoute::default(), Duration::from_secs(1)).public(false);
    for (expected, request) in requests {
        let request = request.unwrap();
        let router = if expected == 504 { &impatient } else { &router };
        let path = request.uri().path().to_owned();
        let (status, headers, json) = ask(router, request).await;
        assert_eq!(status.as_u16(), expected, "{path}: {json}");
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(json["status"], expected);
        assert_eq!(json["instance"], path);
        assert_eq!(json["requestId"], headers["x-request-id"].to_str().unwrap());
        for member in ["type", "title", "detail", "code"] {
            assert!(json[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {json}");
        }
    }
}

#[tokio::test]
async fn a_request_keeps_its_id_if_it_is_plain_and_gets_one_if_not() {
    let router = a_service().public(false);
    for (sent, kept) in [("abc-1.2_3", true), ("a b", false), ("", false)] {
        let request = Request::get("/livez").header("x-request-id", sent).body(Body::empty());
        let (_, headers, _) = ask(&router, request.unwrap()).await;
        assert_eq!(headers["x-request-id"] == sent, kept, "{sent}");
        assert_eq!(headers["x-gx-build"], crate::build_info::BUILD.to_string().as_str());
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}

/// SEC-API-07: a body whose size shows only while it arrives is rejected, too.
#[tokio::test]
async fn a_body_of_unknown_length_is_limited() {
    let router = a_service().public(false);
    let chunks = (0..64).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let request = Request::post("/echo").header("content-type", "application/json").body(body);
    let (status, _, json) = ask(&router, request.unwrap()).await;
    assert_eq!((status.as_u16(), json["code"].as_str()), (413, Some("body_too_large")));
}

/// The response is short, however many invalid fields there are and however long they are.
#[tokio::test]
async fn the_list_of_wrong_fields_is_bounded() {
    let router = a_service().public(false);
    let many: serde_json::Map<String, Value> =
        (0..10_000).map(|number| (format!("field{number}"), Value::Null)).collect();
    let long = serde_json::json!({ "text": "abc", "x".repeat(900_000): 1 });
    for (body, errors) in [(Value::Object(many), 100), (long, 1)] {
        let request = Request::post("/echo").header("content-type", "application/json");
        let (status, _, json) = ask(&router, request.body(body.to_string().into()).unwrap()).await;
        assert_eq!(status, 400);
        assert_eq!(json["errors"].as_array().map(Vec::len), Some(errors));
        assert!(json.to_string().len() < 20_000);
    }
}

/// CFG-05 (routes): a path has one owner, whatever the names of its parameters.
#[test]
fn a_path_with_two_owners_is_refused() {
    let route = |service, path: &str| RouteInfo {
        method: "GET".to_owned(),
        path: path.to_owned(),
        service,
        access: RouteAccess::Public,
        limit: None,
    };
    let own = [route("a", "/x/{id}"), route("a", "/x/{id}/y"), route("b", "/z")];
    assert!(crate::check_owners(&own).is_ok());
    let conflict = crate::check_owners(own.iter().chain(&[route("b", "/x/{name}")])).unwrap_err();
    assert_eq!(
        conflict.to_string(),
        "/x/{name} is claimed by a and by b; remove one of the routes"
    );
}

#[test]
fn ids_sort_by_time_and_seeds_repeat() {
    let (one, other) = (Entropy::seeded(7), Entropy::seeded(7));
    let now = clock().now();
    let ids = [one.id(now), one.id(now + time::Duration::milliseconds(1))];
    assert!(ids[0] < ids[1]);
    assert!(ids[0].get_version_num() == 7);
    assert_eq!(ids[0], other.id(now));
    assert_ne!(Entropy::system().bytes::<32>(), Entropy::system().bytes::<32>());
}
