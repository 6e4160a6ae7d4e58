//! Rate limits of services as processes that share a Redis.

use gx_testkit::RedisServer;
use gx_testkit::http::{Reply, request, send};
use http::Method;
use serde_json::json;

use crate::role::Role;
use crate::roles::migrated_server;

/// Sends a sign-in with a wrong password, through a proxy that names this client.
async fn sign_in(to: &Role, email: &str, forwarded_for: &str) -> Reply {
    let body = json!({ "email": email, "password": "WrongPassword123!" });
    let mut ask = request(Method::POST, "/api/v1/auth/login", None, Some(&body));
    ask.headers_mut().insert("x-forwarded-for", forwarded_for.parse().unwrap());
    send(to.address, ask).await.unwrap()
}

fn violated(reply: &Reply) -> &str {
    reply.json["violated-policies"][0].as_str().unwrap_or_default()
}

fn settings(redis: &RedisServer, own: &[(&str, &str)]) -> Vec<(String, String)> {
    let url = redis.url();
    let shared = [("REDIS_URL", &*url), ("REDIS_TIMEOUT_MS", "60000"), ("GX_LIMIT_LOGIN", "5/24h")];
    let all = shared.iter().chain(own);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// API-05, SEC-API-05: over two processes, the sixth sign-in with an address is refused with
/// Retry-After, whatever forged header the client sends.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_refuse_the_sixth_sign_in_whatever_is_forged() {
    let (server, redis) = (migrated_server().await, RedisServer::start().await);
    let settings = settings(&redis, &[]);
    let roles = [(); 2].map(|()| Role::start("svc-identity", &server.url(), &settings));
    for role in &roles {
        role.wait_for_readyz(200).await;
    }
    for n in 0..5_usize {
        let reply = sign_in(&roles[n % 2], "sarah@gxtest.com", &format!("192.0.2.{n}")).await;
        assert_eq!(reply.status, 401, "{}", reply.text);
    }
    for (n, role) in roles.iter().enumerate() {
        let reply = sign_in(role, "sarah@gxtest.com", &format!("192.0.2.{}", 5 + n)).await;
        assert_eq!((reply.status.as_u16(), violated(&reply)), (429, "login"));
        let retry_after: u32 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((17_000..=17_280).contains(&retry_after), "{retry_after}");
    }
    // Another address is another account.
    assert_eq!(sign_in(&roles[0], "li@gxtest.com", "192.0.2.9").await.status, 401);
}

/// API-05, SEC-API-05: behind a trusted proxy, each client has its own allowance, read from the
/// right; what a client has put in front of its address changes nothing. Failures from many clients
/// against one account delay it.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_each_client_has_its_own_allowance() {
    let (server, redis) = (migrated_server().await, RedisServer::start().await);
    let settings = settings(&redis, &[("GX_TRUSTED_PROXIES", "127.0.0.1,198.51.100.1")]);
    let role = Role::start("svc-identity", &server.url(), &settings);
    role.wait_for_readyz(200).await;
    for n in 0..6 {
        // The person's proxy is trusted, and what is left of the person is not.
        let named = format!("203.0.113.{n}, 192.0.2.1, 198.51.100.1");
        let reply = sign_in(&role, &format!("sarah{n}@gxtest.com"), &named).await;
        assert_eq!(reply.status, 401, "{}", reply.text);
        let left = reply.headers["ratelimit"].to_str().unwrap();
        assert!(left.contains("\"login\";r=4;"), "{left}");
    }
    for n in 0..5 {
        assert_eq!(sign_in(&role, "li@gxtest.com", &format!("192.0.2.{n}")).await.status, 401);
    }
    let reply = sign_in(&role, "li@gxtest.com", "192.0.2.5").await;
    assert_eq!((reply.status.as_u16(), violated(&reply)), (429, "sign-in-failures"));
}
