//! The delay after failed sign-ins, through the router.

use std::time::Duration;

use gx_auth::testing::{Answer, PASSWORD, TestHost, all};
use gx_model::AccountStatus;
use gx_serve::Service;
use serde_json::json;

use super::{host, service, service_with_keys};

const WRONG: &str = "WrongPassword123!";

async fn log_in(host: &TestHost, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    host.post("/api/v1/auth/login", "", &body).await
}

async fn fail(host: &TestHost, email: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(log_in(host, email, WRONG).await.code(), 401);
    }
}

fn retry_after(answer: &Answer) -> &str {
    answer.headers["retry-after"].to_str().unwrap()
}

async fn failures(host: &TestHost) -> Vec<i32> {
    sqlx::query_scalar(r#"SELECT failures FROM "SignInFailure" ORDER BY failures"#)
        .fetch_all(host.database.pool())
        .await
        .unwrap()
}

/// AUTHN-11, SEC-API-03: after five failures every sign-in is answered 429 with Retry-After and the
/// violated policy, with the right password and in any spelling of the address, too. The block ends
/// by itself, and a success forgets the failures.
#[tokio::test]
async fn five_failures_block_an_address_for_a_while() {
    let host = host().await;
    host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    fail(&host, "sarah@gxtest.com", 4).await;
    assert_eq!(log_in(&host, "sarah@gxtest.com", PASSWORD).await.code(), 200);
    fail(&host, "sarah@gxtest.com", 5).await;

    let answer = log_in(&host, " SARAH@GXtest.com ", PASSWORD).await;
    assert_eq!((answer.code(), answer.problem()), (429, "quota_exceeded"));
    assert_eq!(answer.json["violated-policies"], json!(["sign-in-failures"]));
    assert!(answer.text_at("/type").ends_with("#quota-exceeded"), "{}", answer.text);
    assert_eq!(retry_after(&answer), "30");
    let page = host.get("/problems", "").await.text;
    assert!(page.contains("id=\"quota-exceeded\""), "{page}");

    host.clock.advance(Duration::from_secs(29));
    let answer = log_in(&host, "sarah@gxtest.com", PASSWORD).await;
    assert_eq!((answer.code(), retry_after(&answer)), (429, "1"));
    host.clock.advance(Duration::from_secs(1));
    assert_eq!(log_in(&host, "sarah@gxtest.com", PASSWORD).await.code(), 200);
    assert_eq!(failures(&host).await, Vec::<i32>::new());
}

/// AUTHN-11: an address without an account is counted and answered in the same way.
#[tokio::test]
async fn an_unknown_address_is_blocked_like_a_known_one() {
    let host = host().await;
    host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let mut answers = Vec::new();
    for email in ["sarah@gxtest.com", "nobody@gxtest.com"] {
        fail(&host, email, 5).await;
        let answer = log_in(&host, email, WRONG).await;
        assert_eq!((answer.code(), retry_after(&answer)), (429, "30"));
        let mut body = answer.json.clone();
        body["requestId"] = json!("");
        answers.push(body);
    }
    assert_eq!(answers[0], answers[1]);
}

/// AUTHN-11, CRY-02: failures that were counted before the key ring was rotated still count, an
/// address that is blocked under one key is blocked under each, and a success forgets all.
#[tokio::test]
async fn a_rotation_of_the_key_ring_keeps_the_count() {
    let host = host().await;
    host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    fail(&host, "sarah@gxtest.com", 4).await;
    let [knowing, new] = [[1, 2], [2, 1]].map(|versions| service_with_keys(&host, &versions));
    let ask = async |service: &Service, password: &str| {
        let body = json!({ "email": "sarah@gxtest.com", "password": password });
        host.ask("POST", "/api/v1/auth/login").json(&body).send_to(service).await
    };
    assert_eq!(ask(&new, WRONG).await.code(), 401);
    assert_eq!(failures(&host).await, [4, 5]);
    for service in [&knowing, &new] {
        let answer = ask(service, PASSWORD).await;
        assert_eq!((answer.code(), retry_after(&answer)), (429, "30"));
    }
    host.clock.advance(Duration::from_secs(30));
    assert_eq!(ask(&knowing, PASSWORD).await.code(), 200);
    assert_eq!(failures(&host).await, Vec::<i32>::new());
}

/// AUTHN-11: the delay doubles with each failure up to a quarter of an hour, and failures are
/// forgotten after a day without another one.
#[tokio::test]
async fn the_delay_grows_to_a_limit_and_is_forgotten() {
    let host = host().await;
    fail(&host, "nobody@gxtest.com", 5).await;
    for delay_s in [30, 60, 120, 240, 480, 900, 900] {
        let answer = log_in(&host, "nobody@gxtest.com", WRONG).await;
        assert_eq!((answer.code(), retry_after(&answer)), (429, delay_s.to_string().as_str()));
        host.clock.advance(Duration::from_secs(delay_s));
        fail(&host, "nobody@gxtest.com", 1).await;
    }
    host.clock.advance(Duration::from_secs(86_400));
    fail(&host, "nobody@gxtest.com", 5).await;
    assert_eq!(failures(&host).await, [5]);
}

/// AUTHN-11: of 50 wrong sign-ins at the same time, exactly five passwords are compared.
#[tokio::test]
async fn fifty_failures_at_once_are_counted_exactly() {
    let host = host().await;
    host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let answers = all((0..50).map(|_| log_in(&host, "sarah@gxtest.com", WRONG))).await;
    let with = |code| answers.iter().filter(|answer| answer.code() == code).count();
    assert_eq!((with(401), with(429)), (5, 45));
    assert_eq!(failures(&host).await, [5]);
}

/// AUTHN-11: a sign-in that found no room to hash is not a failure.
#[tokio::test]
async fn a_sign_in_without_a_comparison_is_not_counted() {
    let none = gx_auth::HashingSettings {
        password_hash_concurrency: Some(1),
        password_hash_queue: 1,
        ..Default::default()
    };
    let hasher = gx_auth::Hasher::new(&none, gx_serve::Entropy::system()).unwrap();
    let pool = hasher.clone();
    let host = TestHost::new(|mut base| {
        base.auth.hasher = hasher;
        service(&crate::IdentitySettings::default(), base)
    })
    .await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (holds, holding) = tokio::sync::oneshot::channel();
    let busy = pool.clone();
    let holder = tokio::spawn(async move {
        let hold = move || {
            holds.send(()).unwrap();
            held.recv().unwrap();
        };
        busy.run(hold).await
    });
    holding.await.unwrap();
    let waiting = tokio::spawn(async move { pool.run(|| ()).await });
    tokio::task::yield_now().await;
    for _ in 0..6 {
        assert_eq!(log_in(&host, "nobody@gxtest.com", WRONG).await.code(), 503);
    }
    release.send(()).unwrap();
    holder.await.unwrap().unwrap();
    let _ = waiting.await.unwrap();
    assert_eq!(failures(&host).await, [0]);
}

/// AUTHN-11, AUTHN-15: a wrong current password at a change of the password counts as a failed
/// sign-in.
#[tokio::test]
async fn a_wrong_current_password_counts_as_a_failed_sign_in() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    let body = json!({ "currentPassword": WRONG, "newPassword": "four rare words: quince, gable" });
    let change = async || host.post("/api/v1/auth/password/change", &token, &body).await;
    fail(&host, "sarah@gxtest.com", 2).await;
    for _ in 0..3 {
        assert_eq!(change().await.code(), 403);
    }
    assert_eq!(change().await.code(), 429);
    assert_eq!(log_in(&host, "sarah@gxtest.com", PASSWORD).await.code(), 429);
}
