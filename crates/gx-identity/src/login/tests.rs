//! Login, refresh and logout through the router.

use std::sync::Arc;
use std::time::Duration;

use gx_auth::testing::{Answer, PASSWORD, TestHost};
use gx_model::{AccountStatus, DenialFinality};
use serde_json::json;

use crate::{IdentitySettings, service};

async fn host() -> TestHost {
    TestHost::new(|base| service(&IdentitySettings::default(), base)).await
}

async fn log_in(host: &TestHost, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    host.post("/api/v1/auth/login", "", &body).await
}

async fn refresh(host: &TestHost, token: &str) -> Answer {
    host.post("/api/v1/auth/refresh", "", &json!({ "refreshToken": token })).await
}

async fn set_locked(host: &TestHost, profile_id: &str, locked: bool) {
    sqlx::query(r#"UPDATE "UserProfile" SET "isLocked" = $2 WHERE "profileId" = $1"#)
        .bind(profile_id)
        .bind(locked)
        .execute(host.database.pool())
        .await
        .unwrap();
}

/// API-04: one table says who may sign in, after the password was compared; whoever may not
/// reads the very answer of a wrong password and of an unknown address.
#[tokio::test]
async fn each_status_signs_in_or_reads_the_one_refusal() {
    let host = host().await;
    let unknown = log_in(&host, "nobody@gxtest.com", PASSWORD).await;
    assert_eq!((unknown.code(), unknown.problem()), (401, "invalid_credentials"));
    let same = |answer: &Answer| {
        let mut body = answer.json.clone();
        body["requestId"] = unknown.json["requestId"].clone();
        assert_eq!((answer.code(), body), (401, unknown.json.clone()));
    };
    for status in AccountStatus::ALL {
        let email = format!("{}@gxtest.com", status.name().to_lowercase());
        let id = host.add_person(&email, status).await;
        same(&log_in(&host, &email, "WrongPassword123!").await);
        let answer = log_in(&host, &email.to_uppercase(), PASSWORD).await;
        let denied = [AccountStatus::Denied, AccountStatus::Suspended, AccountStatus::Closed];
        if denied.contains(&status) {
            same(&answer);
        } else {
            assert_eq!(answer.code(), 200, "{status}: {}", answer.text);
            assert_eq!(answer.json["user"]["status"], status.name());
        }
        set_locked(&host, &id, true).await;
        same(&log_in(&host, &email, PASSWORD).await);
    }
}

/// API-04: an unknown address takes as long to refuse as a wrong password. The two take
/// turns, so that a busy machine slows both down.
#[tokio::test]
async fn an_unknown_address_is_refused_in_similar_time() {
    const ROUNDS: usize = 15;
    let host = host().await;
    host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (email, times) in ["sarah@gxtest.com", "nobody@gxtest.com"].iter().zip(&mut times) {
            let began = tokio::time::Instant::now();
            assert_eq!(log_in(&host, email, "WrongPassword123!").await.code(), 401);
            times.push(began.elapsed());
        }
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 2]
    });
    // Without the hash of nobody's the unknown address would be refused ten times as fast.
    assert!(unknown > known / 2 && known > unknown / 2, "{known:?} and {unknown:?}");
}

/// G6: a denial with a retry lets a person into the KYC routes alone.
#[tokio::test]
async fn a_person_denied_with_a_retry_reaches_the_kyc_routes_only() {
    let host = host().await;
    let id = host.add_person("retry@gxtest.com", AccountStatus::Denied).await;
    host.set_denial(&id, DenialFinality::Retry).await;
    let answer = log_in(&host, "retry@gxtest.com", PASSWORD).await;
    assert_eq!(answer.code(), 200);
    let token = answer.text_at("/accessToken");
    assert_eq!(host.get("/api/v1/users/me/kyc", token).await.code(), 200);
    let answer = host.get("/api/v1/users/me/onchain", token).await;
    assert_eq!((answer.code(), answer.problem()), (403, "forbidden"));
    assert!(answer.headers["www-authenticate"].to_str().unwrap().contains("insufficient_scope"));
    host.set_denial(&id, DenialFinality::Final).await;
    assert_eq!(host.get("/api/v1/users/me/kyc", token).await.code(), 401);
    assert_eq!(log_in(&host, "retry@gxtest.com", PASSWORD).await.code(), 401);
}

/// G6: a lock, a denial, a closure and a logout end access with the next request,
/// whatever tokens are still held; so they do for refresh.
#[tokio::test]
async fn access_ends_with_the_next_request() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let pair = host.session_of(&id).await;
    let look = async || host.get("/api/v1/users/me", &pair.access_token).await.code();
    assert_eq!(look().await, 200);
    set_locked(&host, &id, true).await;
    assert_eq!(look().await, 401);
    assert_eq!(refresh(&host, &pair.refresh_token).await.code(), 401);
    set_locked(&host, &id, false).await;
    assert_eq!(look().await, 200);
    for status in [AccountStatus::Suspended, AccountStatus::Active, AccountStatus::Closed] {
        sqlx::query(r#"UPDATE "UserProfile" SET status = $2 WHERE "profileId" = $1"#)
            .bind(&id)
            .bind(status.name())
            .execute(host.database.pool())
            .await
            .unwrap();
        let expected = if status == AccountStatus::Active { 200 } else { 401 };
        assert_eq!(look().await, expected, "{status}");
    }

    let other = host.add_person("other@gxtest.com", AccountStatus::Registered).await;
    let (one, two) = (host.session_of(&other).await, host.session_of(&other).await);
    let logout = |token: &str, path: &str| host.ask("POST", path).token(token).send();
    assert_eq!(logout(&one.access_token, "/api/v1/auth/logout").await.code(), 204);
    assert_eq!(host.get("/api/v1/users/me", &one.access_token).await.code(), 401);
    assert_eq!(refresh(&host, &one.refresh_token).await.code(), 401);
    assert_eq!(host.get("/api/v1/users/me", &two.access_token).await.code(), 200);
    let three = host.session_of(&other).await;
    let body = json!({ "refreshToken": two.refresh_token });
    let everywhere = host.post("/api/v1/auth/logout-all", &two.access_token, &body).await;
    assert_eq!(everywhere.code(), 204);
    assert_eq!(host.get("/api/v1/users/me", &three.access_token).await.code(), 401);
}

/// API-03, TOK-02: a refresh token does not open routes, an access token does not refresh.
#[tokio::test]
async fn tokens_serve_their_own_purpose_only() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let pair = host.session_of(&id).await;
    assert_eq!(host.get("/api/v1/users/me", &pair.refresh_token).await.code(), 401);
    assert_eq!(refresh(&host, &pair.access_token).await.code(), 401);
}

/// API-03, TOK-05: a refresh token is used once; within the grace time it gives the same
/// successor again, after it its session is over and the audit log says so.
#[tokio::test]
async fn a_refresh_token_is_used_once() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let pair = host.session_of(&id).await;
    let first = refresh(&host, &pair.refresh_token).await;
    assert_eq!(first.code(), 200);
    host.clock.advance(Duration::from_secs(9));
    let again = refresh(&host, &pair.refresh_token).await;
    assert_eq!(again.text_at("/refreshToken"), first.text_at("/refreshToken"));
    let access = first.text_at("/accessToken");
    assert_eq!(host.get("/api/v1/users/me", access).await.code(), 200);
    host.clock.advance(Duration::from_secs(2));
    assert_eq!(refresh(&host, &pair.refresh_token).await.code(), 401);
    assert_eq!(refresh(&host, first.text_at("/refreshToken")).await.code(), 401);
    assert_eq!(host.get("/api/v1/users/me", access).await.code(), 401);
    let action: String = sqlx::query_scalar(r#"SELECT action FROM "AuditLog""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(action, "session.refresh_reused");
}

/// TOK-05: 32 uses at the same time give one successor.
#[tokio::test]
async fn parallel_refreshes_give_one_successor() {
    let host = Arc::new(host().await);
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.refresh_token;
    let mut uses = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (host, token) = (Arc::clone(&host), token.clone());
        uses.spawn(async move { refresh(&host, &token).await });
    }
    let answers = uses.join_all().await;
    let mut successors = std::collections::BTreeSet::new();
    for answer in &answers {
        assert_eq!(answer.code(), 200, "{}", answer.text);
        successors.insert(answer.text_at("/refreshToken"));
    }
    assert_eq!((answers.len(), successors.len()), (32, 1));
}

/// TOK-06: an unused refresh token ends after its time, and all of them with the session.
#[tokio::test]
async fn refresh_ends_by_inactivity_and_absolutely() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let idle = host.session_of(&id).await;
    let mut used = host.session_of(&id).await.refresh_token;
    let day = Duration::from_secs(86_400);
    for _ in 0..4 {
        host.clock.advance(day * 6);
        let answer = refresh(&host, &used).await;
        assert_eq!(answer.code(), 200);
        used = answer.text_at("/refreshToken").to_owned();
    }
    assert_eq!(refresh(&host, &idle.refresh_token).await.code(), 401);
    host.clock.advance(day * 6);
    assert_eq!(refresh(&host, &used).await.code(), 401, "thirty days are over");
}

/// TOK-07: a missing token is challenged without an error code, a bad one with it.
#[tokio::test]
async fn challenges_say_whether_a_token_was_sent() {
    let host = host().await;
    let challenge =
        |answer: &Answer| answer.headers["www-authenticate"].to_str().unwrap().to_owned();
    let none = host.get("/api/v1/users/me", "").await;
    assert_eq!((none.code(), challenge(&none)), (401, "Bearer".to_owned()));
    let bad = host.get("/api/v1/users/me", "abc").await;
    assert_eq!((bad.code(), challenge(&bad)), (401, "Bearer error=\"invalid_token\"".to_owned()));
    assert_eq!(host.get("/api/v1/users/me?access_token=abc", "").await.code(), 401);
    for refused in [log_in(&host, "nobody@gxtest.com", PASSWORD).await, refresh(&host, "abc").await]
    {
        assert_eq!((refused.code(), challenge(&refused)), (401, "Bearer".to_owned()));
    }
}

/// TOK-03: the public key is published with its id, and nothing of the private one.
#[tokio::test]
async fn public_keys_are_published() {
    let host = host().await;
    let answer = host.get("/.well-known/jwks.json", "").await;
    let key = &answer.json["keys"][0];
    assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("OKP"), Some("Ed25519")));
    assert!(key["kid"].is_string() && key.get("d").is_none());
}

/// AUTHN-06: a hash with other parameters is replaced on login.
#[tokio::test]
async fn hashes_are_upgraded_on_login() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let cheap = gx_auth::HashingSettings { password_passes: 1, ..Default::default() };
    let cheap = gx_auth::Hasher::new(&cheap, host.base.entropy.clone()).unwrap();
    let old = cheap.hash(&gx_auth::testing::password()).await.unwrap();
    sqlx::query(r#"UPDATE "UserProfile" SET "passwordHash" = $2 WHERE "profileId" = $1"#)
        .bind(&id)
        .bind(&old)
        .execute(host.database.pool())
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(log_in(&host, "sarah@gxtest.com", PASSWORD).await.code(), 200);
        let hash: String = sqlx::query_scalar(r#"SELECT "passwordHash" FROM "UserProfile""#)
            .fetch_one(host.database.pool())
            .await
            .unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{hash}");
    }
}
