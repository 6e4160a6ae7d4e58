//! Idempotency keys of routes that change something, through the router.

use std::time::Duration;

use gx_auth::testing::{Answer, Ask, PASSWORD, TestHost};
use gx_model::AccountStatus;
use gx_serve::Service;
use gx_serve::idempotency::Fingerprint;
use serde_json::{Value, json};

use super::{host, person, service_with_keys};

const REGISTER: &str = "/api/v1/auth/register";
const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/users/me";

fn keyed<'a>(ask: Ask<'a>, key: &str) -> Ask<'a> {
    ask.header("idempotency-key", &format!("\"{key}\""))
}

async fn send(host: &TestHost, method: &str, path: &str, key: &str, body: &Value) -> Answer {
    keyed(host.ask(method, path).json(body), key).send().await
}

async fn patch(host: &TestHost, token: &str, key: &str, body: &Value) -> Answer {
    keyed(host.ask("PATCH", ME).token(token).json(body), key).send().await
}

async fn count(host: &TestHost, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM \"{table}\"");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(host.database.pool()).await.unwrap()
}

async fn run(host: &TestHost, sql: &'static str) {
    sqlx::raw_sql(sql).execute(host.database.pool()).await.unwrap();
}

/// SEC-API-02, API-10: a registration that is repeated with its key answers 200 with the same
/// person and a new session; another body is refused. Neither tokens nor a hash of the password
/// that can be guessed are stored.
#[tokio::test]
async fn a_repeated_registration_is_the_same_person() {
    let host = host().await;
    let body = person("sarah@gxtest.com");
    let first = send(&host, "POST", REGISTER, "k1", &body).await;
    let again = send(&host, "POST", REGISTER, "k1", &body).await;
    assert_eq!((first.code(), again.code()), (200, 200), "{}", again.text);
    assert_eq!(first.json["user"], again.json["user"]);
    assert_ne!(first.text_at("/refreshToken"), again.text_at("/refreshToken"));
    for answer in [&first, &again] {
        assert_eq!(host.get(ME, answer.text_at("/accessToken")).await.code(), 200);
    }
    assert_eq!((count(&host, "UserProfile").await, count(&host, "UserSession").await), (1, 2));

    let mut other = body.clone();
    other["fname"] = json!("Eve");
    let refused = send(&host, "POST", REGISTER, "k1", &other).await;
    assert_eq!((refused.code(), refused.problem()), (422, "idempotency_key_reused"));
    let taken = send(&host, "POST", REGISTER, "k2", &body).await;
    assert_eq!(taken.problem(), "email_taken");

    let (fingerprint, stored, is_withheld): (Vec<u8>, Vec<u8>, bool) = sqlx::query_as(
        r#"SELECT fingerprint, body, "isWithheld" FROM "HttpIdempotency" WHERE key = 'k1'"#,
    )
    .fetch_one(host.database.pool())
    .await
    .unwrap();
    assert_eq!((stored, is_withheld), (Vec::new(), true));
    let guess = Fingerprint::plain(&["POST /api/v1/auth/register?", &body.to_string()]);
    assert_ne!(fingerprint, guess.hash());
}

/// SEC-API-02, CRY-02: keys of the last day are recognised after the key ring was rotated, by
/// processes that already use the new key and by those that only know it. Another body is refused
/// by both.
#[tokio::test]
async fn a_rotation_of_the_key_ring_forgets_no_key() {
    let host = host().await;
    let body = person("sarah@gxtest.com");
    let ask = async |service: &Service, key: &str, body: &Value| -> Answer {
        keyed(host.ask("POST", REGISTER).json(body), key).send_to(service).await
    };
    let with_keys = |versions: &[i32]| service_with_keys(&host, versions);
    let [old, knowing, new] = [with_keys(&[1]), with_keys(&[1, 2]), with_keys(&[2, 1])];
    let mut other = body.clone();
    other["fname"] = json!("Eve");

    let first = ask(&old, "k1", &body).await;
    assert_eq!(first.code(), 200, "{}", first.text);
    for service in [&knowing, &new] {
        let again = ask(service, "k1", &body).await;
        assert_eq!(again.json["user"], first.json["user"], "{}", again.text);
        assert_eq!(ask(service, "k1", &other).await.problem(), "idempotency_key_reused");
    }
    let newer = person("eve@gxtest.com");
    let first = ask(&new, "k2", &newer).await;
    let again = ask(&knowing, "k2", &newer).await;
    assert_eq!((first.code(), &again.json["user"]), (200, &first.json["user"]));
    let versions: Vec<Option<i32>> =
        sqlx::query_scalar(r#"SELECT "fingerprintKeyVersion" FROM "HttpIdempotency" ORDER BY key"#)
            .fetch_all(host.database.pool())
            .await
            .unwrap();
    assert_eq!(versions, [Some(1), Some(2)]);
}

/// SEC-API-02: a repeated registration opens no session that its password would not open now.
#[tokio::test]
async fn a_repeated_registration_needs_an_account_that_may_sign_in() {
    let host = host().await;
    let body = person("sarah@gxtest.com");
    assert_eq!(send(&host, "POST", REGISTER, "k1", &body).await.code(), 200);
    run(&host, r#"UPDATE "UserProfile" SET "isLocked" = true"#).await;
    let refused = send(&host, "POST", REGISTER, "k1", &body).await;
    assert_eq!((refused.code(), refused.problem()), (401, "invalid_credentials"));
}

/// SEC-API-02: a login that is repeated with its key opens a new session of the same person; with
/// another password it is refused, whatever is right.
#[tokio::test]
async fn a_repeated_login_is_a_new_session_of_the_same_person() {
    let host = host().await;
    host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let body = json!({ "email": "sarah@gxtest.com", "password": PASSWORD });
    let first = send(&host, "POST", LOGIN, "k1", &body).await;
    let again = send(&host, "POST", LOGIN, "k1", &body).await;
    assert_eq!((first.code(), again.code()), (200, 200));
    assert_eq!(first.json["user"], again.json["user"]);
    assert_ne!(first.text_at("/refreshToken"), again.text_at("/refreshToken"));
    let other = json!({ "email": "sarah@gxtest.com", "password": "WrongPassword123!" });
    assert_eq!(send(&host, "POST", LOGIN, "k1", &other).await.code(), 422);
    assert_eq!(send(&host, "POST", LOGIN, "k2", &other).await.code(), 401);
    let secret: i64 = sqlx::query_scalar(
        r#"SELECT count(*) FROM "HttpIdempotency" WHERE body <> '' OR NOT "isWithheld""#,
    )
    .fetch_one(host.database.pool())
    .await
    .unwrap();
    assert_eq!(secret, 0);
}

/// SEC-API-02: a change gets its first answer again, also after another change and under the older
/// name of the field. Keys of different people and routes are unrelated.
#[tokio::test]
async fn a_repeated_change_gets_the_first_answer() {
    let host = host().await;
    let sarah = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let sarah = host.session_of(&sarah).await.access_token;
    let eve = host.add_person("eve@gxtest.com", AccountStatus::Registered).await;
    let eve = host.session_of(&eve).await.access_token;
    let first = patch(&host, &sarah, "k1", &json!({ "firstName": "Sara" })).await;
    assert_eq!(first.code(), 200, "{}", first.text);
    assert_eq!(patch(&host, &sarah, "k2", &json!({ "firstName": "Zara" })).await.code(), 200);
    let again = patch(&host, &sarah, "k1", &json!({ "firstName": "Sara" })).await;
    assert_eq!((again.code(), &again.text), (200, &first.text));
    let older = host.ask("PATCH", ME).token(&sarah).json(&json!({ "firstName": "Sara" }));
    assert_eq!(older.header("x-idempotency-key", "k1").send().await.text, first.text);
    let now = host.get(ME, &sarah).await;
    assert_eq!(now.json["user"]["firstName"], "Zara");
    assert_eq!(count(&host, "AuditEntry").await, 2);

    let other = patch(&host, &sarah, "k1", &json!({ "firstName": "Nora" })).await;
    assert_eq!((other.code(), other.problem()), (422, "idempotency_key_reused"));
    let of_eve = patch(&host, &eve, "k1", &json!({ "firstName": "Nora" })).await;
    assert_eq!(of_eve.json["user"]["firstName"], "Nora");

    host.clock.advance(Duration::from_hours(24));
    let token = host.session_of(now.text_at("/user/profileId")).await.access_token;
    let expired = patch(&host, &token, "k1", &json!({ "firstName": "Nora" })).await;
    assert_eq!(expired.json["user"]["firstName"], "Nora");
}

/// SEC-API-02: the answer is repeated if it was an error of the work, and not if the request was
/// not valid: the corrected request may have the same key.
#[tokio::test]
async fn an_error_of_the_work_is_repeated_and_an_invalid_request_is_not() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    let body = json!({ "firstName": "Sara" });
    let first = patch(&host, &token, "k1", &body).await;
    assert_eq!((first.code(), first.problem()), (409, "profile_closed"));
    run(&host, r#"UPDATE "UserProfile" SET "phoneNum" = '+60123456790'"#).await;
    let again = patch(&host, &token, "k1", &body).await;
    assert_eq!((again.code(), &again.text), (409, &first.text));

    let other = host.add_person("eve@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&other).await.access_token;
    assert_eq!(patch(&host, &token, "k2", &json!({ "firstName": 1 })).await.code(), 400);
    assert_eq!(patch(&host, &token, "k2", &body).await.code(), 200);
    let taken = json!({ "phoneNum": "+60123456790" });
    let first = patch(&host, &token, "k3", &taken).await;
    assert_eq!((first.code(), first.problem()), (409, "phone_taken"), "a statement failed");
    assert_eq!(patch(&host, &token, "k3", &taken).await.text, first.text);
}

/// SEC-API-02: a deletion needs no body; the same key for another session is refused.
#[tokio::test]
async fn a_repeated_deletion_gets_the_first_answer() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    // Ids sort by their milliseconds.
    host.clock.advance(Duration::from_millis(1));
    host.session_of(&id).await;
    let listed = host.get("/api/v1/users/me/sessions", &token).await;
    let of = |at: &str| format!("/api/v1/users/me/sessions/{}", listed.text_at(at));
    let delete =
        async |path: &str| keyed(host.ask("DELETE", path).token(&token), "k1").send().await.code();
    let newest = of("/items/0/sessionId");
    assert_eq!((delete(&newest).await, delete(&newest).await), (204, 204));
    assert_eq!(delete(&of("/items/1/sessionId")).await, 422);
    assert_eq!(host.get(ME, &token).await.code(), 200);
    assert_eq!(count(&host, "AuditEntry").await, 1);
}

/// SEC-API-02: the answer commits with the work. If the answer cannot be stored, the work is not
/// done either, and the same key does it later.
#[tokio::test]
async fn work_and_answer_are_stored_together_or_not_at_all() {
    let host = host().await;
    let body = person("sarah@gxtest.com");
    let held = host.holding(r#"LOCK TABLE "HttpIdempotency" IN SHARE ROW EXCLUSIVE MODE"#).await;
    let kill = async {
        host.waiting_for_locks(1).await;
        run(
            &host,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await;
    };
    let (broken, ()) = tokio::join!(send(&host, "POST", REGISTER, "k1", &body), kill);
    assert_eq!(broken.code(), 503, "{}", broken.text);
    assert_eq!((count(&host, "UserProfile").await, count(&host, "AuditEntry").await), (0, 0));
    drop(held);
    assert_eq!(send(&host, "POST", REGISTER, "k1", &body).await.code(), 200);
    assert_eq!(count(&host, "UserProfile").await, 1);
}

/// SEC-API-02: while the first request with a key runs, a second one is answered 409.
#[tokio::test]
async fn a_change_that_is_repeated_too_early_is_refused() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    let body = json!({ "firstName": "Sara" });
    let held = host.holding(r#"SELECT FROM "UserProfile" FOR UPDATE"#).await;
    let early = async {
        host.waiting_for_locks(1).await;
        let early = patch(&host, &token, "k1", &body).await;
        drop(held);
        early
    };
    let (first, early) = tokio::join!(patch(&host, &token, "k1", &body), early);
    assert_eq!((early.code(), early.problem()), (409, "request_in_progress"));
    assert_eq!(first.code(), 200);
    assert_eq!(patch(&host, &token, "k1", &body).await.text, first.text);
}

/// DB-09: a request removes no expired answers, however many there are.
#[tokio::test]
async fn db_09_a_request_removes_no_expired_rows() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    run(
        &host,
        r#"INSERT INTO "HttpIdempotency" (principal, route, key, fingerprint, status,
               "contentType", body, "createdAt", "expiresAt")
           SELECT 'a', 'r', n::text, '\x00', 200, '', '', '2026-02-01', '2026-02-02'
           FROM generate_series(1, 100) n"#,
    )
    .await;
    assert_eq!(patch(&host, &token, "k1", &json!({ "firstName": "Sara" })).await.code(), 200);
    assert_eq!(count(&host, "HttpIdempotency").await, 101);
}

/// SEC-API-02: a key that cannot be read is refused on every route that changes something, and
/// ignored on others.
#[tokio::test]
async fn a_key_that_cannot_be_read_is_refused() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    let ask = async |method: &str| {
        host.ask(method, ME).token(&token).header("idempotency-key", "two words").send().await
    };
    let refused = ask("PATCH").await;
    assert_eq!((refused.code(), refused.problem()), (400, "idempotency_key_required"));
    assert_eq!(ask("GET").await.code(), 200);
}
