//! Rate limits of the routes, through the router, with the quotas of the defaults.

use std::time::Duration;

use gx_auth::testing::{Answer, PASSWORD, TestHost, all};
use gx_model::AccountStatus;
use gx_serve::{RateLimitSettings, RouteLimit};
use serde_json::json;

use super::{person, service};
use crate::IdentitySettings;

const WRONG: &str = "WrongPassword123!";

async fn host() -> TestHost {
    let settings = RateLimitSettings::default();
    TestHost::limited(settings, |base| service(&IdentitySettings::default(), base)).await
}

async fn log_in(host: &TestHost, client: &str, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    host.ask("POST", "/api/v1/auth/login").client(client).json(&body).send().await
}

/// SEC-API-03, API-05: every route has the fields of its limit. A new route is in this list, or is
/// limited by its session.
#[tokio::test]
async fn every_route_is_limited() {
    let own = host().await.check_limits(&RateLimitSettings::default()).await;
    let expected = [
        ("POST /api/v1/auth/email/verification", RouteLimit::Mail),
        ("POST /api/v1/auth/email/verify", RouteLimit::Credential),
        ("POST /api/v1/auth/email/change", RouteLimit::Mail),
        ("POST /api/v1/auth/password/forgot", RouteLimit::Mail),
        ("POST /api/v1/auth/password/reset", RouteLimit::Credential),
        ("POST /api/v1/auth/register", RouteLimit::Register),
        ("POST /api/v1/auth/login", RouteLimit::Login),
        ("POST /api/v1/auth/passkeys/options", RouteLimit::Credential),
        ("POST /api/v1/auth/passkeys", RouteLimit::Credential),
        ("POST /api/v1/auth/refresh", RouteLimit::Refresh),
        ("GET /api/v1/users/me/export", RouteLimit::Files),
        ("POST /api/v1/users/me/kyc/documents", RouteLimit::Files),
        ("PUT /api/v1/users/me/kyc/documents/{id}", RouteLimit::Files),
        ("GET /api/v1/users/me/kyc/documents/{id}/content", RouteLimit::Files),
    ];
    assert_eq!(own, expected.map(|(route, limit)| (route.to_owned(), limit)));
}

/// SEC-API-03, API-05: a client may try ten sign-ins with an address in a minute, in any spelling
/// of the address, also with the right password. Another client and another address are not
/// affected.
#[tokio::test]
async fn sign_ins_are_limited_by_client_and_address() {
    let host = host().await;
    host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    for left in (0..10).rev() {
        let answer = log_in(&host, "192.0.2.1", "sarah@gxtest.com", PASSWORD).await;
        assert_eq!(answer.code(), 200);
        let (used, left_of_client) = (10 - left, 90 + left);
        // The quota of the client comes back in 0.6 s for each request, in whole seconds.
        let client_s = (used * 6_u32).div_ceil(10);
        let expected = format!(
            "\"login-client\";r={left_of_client};t={client_s}, \"login\";r={left};t={}",
            used * 6
        );
        assert_eq!(answer.field("ratelimit"), expected);
    }
    let refused = log_in(&host, "192.0.2.1", " SARAH@GXtest.com ", PASSWORD).await;
    assert_eq!((refused.code(), refused.problem()), (429, "quota_exceeded"));
    assert_eq!(refused.json["violated-policies"], json!(["login"]));
    let policy = "\"login-client\";q=100;w=60, \"login\";q=10;w=60";
    assert_eq!(refused.field("ratelimit-policy"), policy);
    assert_eq!(refused.field("retry-after"), "6");

    assert_eq!(log_in(&host, "192.0.2.2", "sarah@gxtest.com", PASSWORD).await.code(), 200);
    assert_eq!(log_in(&host, "192.0.2.1", "li@gxtest.com", WRONG).await.code(), 401);
    host.clock.advance(Duration::from_secs(6));
    assert_eq!(log_in(&host, "192.0.2.1", "sarah@gxtest.com", PASSWORD).await.code(), 200);
    let metrics = host.get("/metrics", "").await.text;
    assert!(metrics.contains("gx_rate_limited_total{policy=\"login\"}"), "{metrics}");
}

/// API-05: a client that tries many addresses is stopped after a hundred sign-ins, before a
/// password is compared.
#[tokio::test]
async fn sign_ins_are_limited_by_client() {
    let host = host().await;
    let wrong = json!({ "email": "sarah@gxtest.com" });
    let ask = || host.ask("POST", "/api/v1/auth/login").client("192.0.2.1").json(&wrong).send();
    let answers = all((0..120).map(|_| ask())).await;
    let with = |code| answers.iter().filter(|answer| answer.code() == code).count();
    assert_eq!((with(400), with(429)), (100, 20));
    let refused = log_in(&host, "192.0.2.1", "li@gxtest.com", PASSWORD).await;
    assert_eq!(refused.json["violated-policies"], json!(["login-client"]));
}

/// AUTHN-15, SEC-API-04: all clients of one network share a quota of options for passkeys, of which
/// each is a row. Another network is not affected.
#[tokio::test]
async fn authn_15_options_of_passkeys_are_limited_by_network() {
    let quota = "3/60s".parse().unwrap();
    let settings = RateLimitSettings { limit_credential_network: quota, ..Default::default() };
    let build = |base| service(&IdentitySettings::default(), base);
    let host = TestHost::limited(settings, build).await;
    let options = async |client: &str| {
        let ask = host.ask("POST", "/api/v1/auth/passkeys/options").client(client);
        ask.json(&json!({})).send().await
    };
    for client in ["2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1"] {
        assert_eq!(options(client).await.code(), 200, "{client}");
    }
    let refused = options("2001:db8:1:4::1").await;
    assert_eq!((refused.code(), refused.problem()), (429, "quota_exceeded"));
    assert_eq!(refused.json["violated-policies"], json!(["credential-network"]));
    assert_eq!(options("2001:db8:2::1").await.code(), 200);
    let challenges: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "PasskeyChallenge""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(challenges, 4);
}

/// API-05: a client may send a hundred registrations in a minute.
#[tokio::test]
async fn registrations_are_limited_by_client() {
    let host = host().await;
    let wrong = json!({ "email": "sarah@gxtest.com" });
    for _ in 0..100 {
        let ask = host.ask("POST", "/api/v1/auth/register").client("192.0.2.1");
        assert_eq!(ask.json(&wrong).send().await.code(), 400);
    }
    let register = async |client: &str| {
        let ask = host.ask("POST", "/api/v1/auth/register").client(client);
        ask.json(&person("sarah@gxtest.com")).send().await
    };
    let refused = register("192.0.2.1").await;
    assert_eq!((refused.code(), refused.problem()), (429, "quota_exceeded"));
    assert_eq!(refused.json["violated-policies"], json!(["register"]));
    assert_eq!(register("192.0.2.2").await.code(), 200);
}

/// API-05: refreshes of one session are limited over all clients. What is no token of this service
/// is counted for its client.
#[tokio::test]
async fn refreshes_are_limited_by_session() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let refresh = async |client: String, token: &str| {
        let ask = host.ask("POST", "/api/v1/auth/refresh").client(&client);
        ask.json(&json!({ "refreshToken": token })).send().await
    };
    let mut token = host.session_of(&id).await.refresh_token;
    for n in 0..600 {
        let answer = refresh(format!("192.0.2.{}", n % 200), &token).await;
        assert_eq!(answer.code(), 200, "{n}");
        token = answer.text_at("/refreshToken").to_owned();
    }
    let refused = refresh("192.0.2.250".to_owned(), &token).await;
    assert_eq!((refused.code(), refused.problem()), (429, "quota_exceeded"));
    assert_eq!(refused.json["violated-policies"], json!(["refresh"]));
    let other = host.session_of(&id).await.refresh_token;
    assert_eq!(refresh("192.0.2.250".to_owned(), &other).await.code(), 200);
    let unknown = refresh("192.0.2.251".to_owned(), "no token").await;
    assert_eq!(unknown.code(), 401);
    assert_eq!(unknown.field("ratelimit"), "\"general\";r=999;t=1, \"refresh\";r=599;t=1");
}

/// API-05: a client may ask for a thousand refreshes in a minute, whatever it sends as a token. The
/// next one is refused before its body is read.
#[tokio::test]
async fn refreshes_are_limited_by_client() {
    let host = host().await;
    for _ in 0..1_000 {
        let ask = host.ask("POST", "/api/v1/auth/refresh").client("192.0.2.1");
        assert_eq!(ask.json(&json!({})).send().await.code(), 400);
    }
    let refresh = async |client: &str| {
        host.ask("POST", "/api/v1/auth/refresh").client(client).json(&json!({})).send().await
    };
    let refused = refresh("192.0.2.1").await;
    assert_eq!((refused.code(), refused.problem()), (429, "quota_exceeded"));
    assert_eq!(refused.json["violated-policies"], json!(["general"]));
    assert_eq!(refresh("192.0.2.2").await.code(), 400);
}

/// API-05: all other requests of a session share one quota, over all services. Requests without a
/// session count for their client.
#[tokio::test]
async fn other_requests_are_limited_by_session() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    for path in ["/api/v1/users/me", "/api/v1/users/me/sessions"].into_iter().cycle().take(1_000) {
        assert_eq!(host.get(path, &token).await.code(), 200);
    }
    let refused = host.get("/api/v1/users/me", &token).await;
    assert_eq!((refused.code(), refused.problem()), (429, "quota_exceeded"));
    assert_eq!(refused.json["violated-policies"], json!(["general"]));
    let other = host.session_of(&id).await.access_token;
    assert_eq!(host.get("/api/v1/users/me", &other).await.code(), 200);
    let without = host.ask("GET", "/api/v1/users/me").client("192.0.2.1").send().await;
    assert_eq!(without.code(), 401);
    assert_eq!(without.field("ratelimit"), "\"general\";r=999;t=1");
}
