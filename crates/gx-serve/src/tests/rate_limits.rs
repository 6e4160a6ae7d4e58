//! Rate limits of routes, through the router.

use std::net::IpAddr;

use axum::response::Response;

use super::*;
use crate::{RequestLimits, set_client_address};

/// Sends mail to the address in the body.
#[utoipa::path(post, path = "/mail", responses((status = 200, description = "Sent.")))]
async fn mail(limits: RequestLimits, Json(echo): Json<Echo>) -> Result<StatusCode, Problem> {
    limits.admit_email(&echo.text.0).await?;
    Ok(StatusCode::OK)
}

/// Checks a secret.
#[utoipa::path(post, path = "/code", responses((status = 200, description = "Right.")))]
async fn code() -> StatusCode {
    StatusCode::OK
}

/// Shows what everybody may see.
#[utoipa::path(get, path = "/open", responses((status = 200, description = "Open.")))]
async fn open() -> StatusCode {
    StatusCode::OK
}

struct LimitedService {
    router: Router,
    service: Service,
    clock: Clock,
}

impl LimitedService {
    fn new() -> Self {
        let clock = clock();
        let request_layer = RequestLayer::new("svc-test", clock.clone(), Entropy::system());
        let settings = RateLimitSettings::default();
        let parts = ServiceParts {
            health: HealthBoard::new("svc-test", clock.clone()),
            database: None,
            request_layer,
            limits: RateLimiter::new(&settings, clock.clone(), fingerprint_keys()),
            fingerprint_keys: fingerprint_keys(),
        };
        let service = Routes::new("svc-test")
            .add(RouteAccess::Public, routes!(mail), &[])
            .limited(RouteLimit::Mail)
            .add(RouteAccess::Public, routes!(code), &[])
            .limited(RouteLimit::Credential)
            .add(RouteAccess::Public, routes!(open), &[])
            .limited(RouteLimit::General)
            .into_service((), parts);
        Self { router: service.public(false), service, clock }
    }

    async fn send(&self, client: &str, request: http::request::Builder, body: Body) -> Response {
        let mut request = request.body(body).unwrap();
        let address: IpAddr = client.parse().unwrap();
        set_client_address(request.extensions_mut(), address);
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn mail(&self, client: &str, email: &str) -> Response {
        let request = Request::post("/mail").header("content-type", "application/json");
        self.send(client, request, serde_json::json!({ "text": email }).to_string().into()).await
    }

    async fn code(&self, client: &str) -> u16 {
        let answer = self.send(client, Request::post("/code"), Body::empty()).await;
        answer.status().as_u16()
    }
}

fn field<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Returns the fields of an answer about limits.
fn fields(answer: &Response) -> [&str; 3] {
    [field(answer, "ratelimit-policy"), field(answer, "ratelimit"), field(answer, "retry-after")]
}

/// SEC-API-03: the fields of admitted and refused requests, exactly, and the problem of a refusal.
#[tokio::test]
async fn answers_name_the_quotas_and_what_is_left() {
    const POLICY: &str =
        "\"mail-network\";q=300;w=3600, \"mail-client\";q=30;w=3600, \"mail\";q=5;w=3600";
    let service = LimitedService::new();
    let first = service.mail("192.0.2.1", "a@b.c").await;
    let left = "\"mail-network\";r=299;t=12, \"mail-client\";r=29;t=120, \"mail\";r=4;t=720";
    assert_eq!(first.status(), 200);
    assert_eq!(fields(&first), [POLICY, left, ""]);
    for _ in 0..4 {
        assert_eq!(service.mail("192.0.2.1", "a@b.c").await.status(), 200);
    }
    service.clock.advance(Duration::from_secs(20));
    let refused = service.mail("192.0.2.1", "a@b.c").await;
    assert_eq!(refused.status(), 429);
    let left = "\"mail-network\";r=295;t=52, \"mail-client\";r=24;t=700, \"mail\";r=0;t=3580";
    assert_eq!(fields(&refused), [POLICY, left, "700"]);
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["type"], "/problems#quota-exceeded");
    assert_eq!(problem["code"], "quota_exceeded");
    assert_eq!(problem["violated-policies"], serde_json::json!(["mail"]));
    assert_eq!(problem["detail"], "Too many requests. Try again in 700 s.");

    service.clock.advance(Duration::from_secs(700));
    assert_eq!(service.mail("192.0.2.1", "a@b.c").await.status(), 200);
}

/// SEC-API-03: `Retry-After` is the time after which all policies that counted the request would
/// admit it: also one that admitted it as the last one.
#[tokio::test]
async fn retry_after_is_the_time_of_the_slowest_policy() {
    let service = LimitedService::new();
    for n in 1..=5 {
        assert_eq!(service.mail(&format!("192.0.2.{n}"), "a@b.c").await.status(), 200);
    }
    service.clock.advance(Duration::from_secs(700));
    for n in 0..29 {
        assert_eq!(service.mail("192.0.2.9", &format!("n{n}@b.c")).await.status(), 200);
    }
    // The address would admit another mail after 20 s, the client after 120 s.
    let refused = service.mail("192.0.2.9", "a@b.c").await;
    let left = "\"mail-network\";r=270;t=360, \"mail-client\";r=0;t=3600, \"mail\";r=0;t=2900";
    assert_eq!((refused.status().as_u16(), field(&refused, "ratelimit")), (429, left));
    assert_eq!(field(&refused, "retry-after"), "120");
    service.clock.advance(Duration::from_secs(120));
    assert_eq!(service.mail("192.0.2.9", "a@b.c").await.status(), 200);
}

/// SEC-API-03: a request that fails for another reason has the fields, too, of what was counted.
#[tokio::test]
async fn problems_have_the_fields_too() {
    let service = LimitedService::new();
    let request = Request::post("/mail").header("content-type", "application/json");
    let answer = service.send("192.0.2.1", request, "{".into()).await;
    assert_eq!(answer.status(), 400);
    let left = "\"mail-network\";r=299;t=12, \"mail-client\";r=29;t=120";
    assert_eq!(field(&answer, "ratelimit"), left);
    let answer = service.send("192.0.2.1", Request::get("/nothing"), Body::empty()).await;
    assert_eq!(fields(&answer), ["", "", ""]);
}

/// Mail is limited by its address over all clients, and by its client over all addresses.
#[tokio::test]
async fn mail_is_limited_by_address_and_by_client() {
    let service = LimitedService::new();
    for n in 1..=5 {
        assert_eq!(service.mail(&format!("192.0.2.{n}"), "a@b.c").await.status(), 200);
    }
    assert_eq!(service.mail("192.0.2.6", "a@b.c").await.status(), 429);
    let mut sent = 0;
    for name in ('b'..='z').chain('A'..='Z') {
        sent += u32::from(service.mail("192.0.2.7", &format!("{name}@b.c")).await.status() == 200);
    }
    assert_eq!(sent, 30);
}

/// Mail is limited by IPv6 network of 48 bits, whose clients could fill the tables of clients and
/// addresses otherwise. IPv4 clients are limited each for itself.
#[tokio::test]
async fn mail_is_limited_by_network() {
    let service = LimitedService::new();
    let mut sent = 0;
    for n in 0..310 {
        let answer = service.mail(&format!("2001:db8:7:{n:x}::1"), &format!("{n}@b.c")).await;
        sent += u32::from(answer.status() == 200);
    }
    assert_eq!(sent, 300);
    assert_eq!(service.mail("2001:db8:8::1", "x@b.c").await.status(), 200);
    for n in 0..310 {
        let client = format!("192.0.{}.{}", n / 256, n % 256);
        assert_eq!(service.mail(&client, &format!("y{n}@b.c")).await.status(), 200);
    }
}

/// SEC-API-05: a client is an IPv4 address, or the network of an IPv6 subscriber.
#[tokio::test]
async fn addresses_of_one_subscriber_are_one_client() {
    let service = LimitedService::new();
    for n in 0..100 {
        assert_eq!(service.code(&format!("2001:db8:0:1::{n:x}")).await, 200);
    }
    assert_eq!(service.code("2001:db8:0:1:ffff::1").await, 429);
    assert_eq!(service.code("2001:db8:0:2::1").await, 200);
    for _ in 0..100 {
        assert_eq!(service.code("::ffff:192.0.2.1").await, 200);
    }
    assert_eq!(service.code("192.0.2.1").await, 429);
    assert_eq!(service.code("192.0.2.2").await, 200);
}

/// Without a session, the general quota is the client's.
#[tokio::test]
async fn an_open_route_is_limited_by_client() {
    let service = LimitedService::new();
    for method in ["GET", "HEAD"].into_iter().cycle().take(1_000) {
        let request = Request::builder().method(method).uri("/open");
        assert_eq!(service.send("192.0.2.1", request, Body::empty()).await.status(), 200);
    }
    let refused = service.send("192.0.2.1", Request::get("/open"), Body::empty()).await;
    assert_eq!(fields(&refused), ["\"general\";q=1000;w=60", "\"general\";r=0;t=60", "1"]);
    let other = service.send("192.0.2.2", Request::get("/open"), Body::empty()).await;
    assert_eq!(other.status(), 200);
}

/// The document names the policies of each route.
#[tokio::test]
async fn the_document_names_the_policies() {
    let service = LimitedService::new().service;
    let mail = &service.openapi["paths"]["/mail"]["post"];
    assert_eq!(mail["x-rate-limits"], serde_json::json!(["mail-network", "mail-client", "mail"]));
    assert!(mail["responses"]["429"].is_object());
}

/// A public route without a limit is a mistake that no test of its service can miss.
#[tokio::test]
#[should_panic(expected = "POST /code has no rate limit; add `.limited(RouteLimit::…)`")]
async fn a_public_route_without_a_limit_is_refused() {
    let request_layer = RequestLayer::new("svc-test", clock(), Entropy::system());
    let parts = ServiceParts {
        health: HealthBoard::new("svc-test", clock()),
        database: None,
        limits: generous_limits(&request_layer.clock),
        request_layer,
        fingerprint_keys: fingerprint_keys(),
    };
    Routes::new("svc-test").add(RouteAccess::Public, routes!(code), &[]).into_service((), parts);
}
