//! A person's own sessions and password, through the router.

use std::time::Duration;

use gx_auth::testing::{Answer, PASSWORD, TestHost};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use super::host;

const SESSIONS: &str = "/api/v1/users/me/sessions";
const CHANGE: &str = "/api/v1/auth/password/change";
const NEW_PASSWORD: &str = "four rare words: quince, gable";

async fn log_in(host: &TestHost, password: &str) -> Answer {
    let body = json!({ "email": "sarah@gxtest.com", "password": password });
    let ask = host.ask("POST", "/api/v1/auth/login").json(&body);
    ask.header("user-agent", "a phone").send().await
}

async fn sessions(host: &TestHost, token: &str) -> Vec<Value> {
    let answer = host.get(SESSIONS, token).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    answer.json["items"].as_array().unwrap().clone()
}

async fn end(host: &TestHost, token: &str, id: &str) -> Answer {
    host.ask("DELETE", &format!("{SESSIONS}/{id}")).token(token).send().await
}

async fn change(host: &TestHost, token: &str, current: &str, new: &str) -> Answer {
    let body = json!({ "currentPassword": current, "newPassword": new });
    host.post(CHANGE, token, &body).await
}

async fn actions(host: &TestHost) -> Vec<String> {
    sqlx::query_scalar(r#"SELECT action FROM "AuditEntry" ORDER BY seq"#)
        .fetch_all(host.database.pool())
        .await
        .unwrap()
}

/// SESS-01: each sign-in opens a session with a new id, which has 128 random bits besides its time.
/// A session ends after seven days without a refresh and after thirty days in any case; an access
/// token ends after a day.
#[tokio::test]
async fn sess_01_each_sign_in_is_a_new_session_that_ends_by_itself() {
    let host = host().await;
    host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let first = log_in(&host, PASSWORD).await;
    let mut used = log_in(&host, PASSWORD).await;
    let listed = sessions(&host, used.text_at("/accessToken")).await;
    let random = |session: &Value| {
        let id = session["sessionId"].as_str().unwrap();
        u128::from_str_radix(id.rsplit_once('-').unwrap().1, 16).unwrap()
    };
    assert_eq!(listed.len(), 2);
    assert_ne!(random(&listed[0]), random(&listed[1]));
    assert!(listed.iter().all(|session| session["sessionId"].as_str().unwrap().len() == 69));

    let refresh = async |answer: &Answer| {
        let body = json!({ "refreshToken": answer.text_at("/refreshToken") });
        host.post("/api/v1/auth/refresh", "", &body).await
    };
    let look = async |answer: &Answer| {
        host.get("/api/v1/users/me", answer.text_at("/accessToken")).await.code()
    };
    host.clock.advance(Duration::from_secs(86_400 + 30));
    assert_eq!(look(&used).await, 401, "its day is over");
    for _ in 0..4 {
        used = refresh(&used).await;
        assert_eq!(look(&used).await, 200);
        host.clock.advance(Duration::from_hours(6 * 24));
    }
    assert_eq!(refresh(&first).await.code(), 401, "it was idle for more than seven days");
    used = refresh(&used).await;
    assert_eq!(look(&used).await, 200);
    host.clock.advance(Duration::from_hours(5 * 24));
    assert_eq!(look(&used).await, 401, "thirty days are over");
    assert_eq!(refresh(&used).await.code(), 401);
}

/// SESS-03: a person sees the own sessions that can still be used, and ends one of them from
/// another: its token is refused on the next request. Sessions of other people are not found.
#[tokio::test]
async fn a_person_lists_and_ends_own_sessions() {
    let host = host().await;
    host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let other = host.add_person("eve@gxtest.com", AccountStatus::Active).await;
    let other = host.session_of(&other).await.access_token;
    let phone = log_in(&host, PASSWORD).await.text_at("/accessToken").to_owned();
    host.clock.advance(Duration::from_secs(1));
    let laptop = log_in(&host, PASSWORD).await.text_at("/accessToken").to_owned();

    let listed = sessions(&host, &laptop).await;
    let current: Vec<_> = listed.iter().map(|one| one["isCurrent"].as_bool().unwrap()).collect();
    assert_eq!(current, [true, false], "the newest comes first");
    assert_eq!(listed[1]["userAgent"], "a phone");
    assert_eq!(listed[1]["createdAt"], "2026-03-01T12:00:00.123Z");
    assert!(listed[1].as_object().unwrap().contains_key("clientAddress"));
    let id = listed[1]["sessionId"].as_str().unwrap();

    assert_eq!(end(&host, &other, id).await.problem(), "no_session");
    assert_eq!(host.get(SESSIONS, &phone).await.code(), 200);
    assert_eq!(end(&host, &laptop, id).await.code(), 204);
    assert_eq!(host.get(SESSIONS, &phone).await.code(), 401);
    assert_eq!(end(&host, &laptop, id).await.code(), 204, "asked again, the answer is the same");
    assert_eq!(end(&host, &laptop, "nobody").await.problem(), "no_session");
    assert_eq!(end(&host, &laptop, "a%00b").await.problem(), "no_session");
    assert_eq!(sessions(&host, &laptop).await.len(), 1);
    assert_eq!(actions(&host).await, ["session.ended"]);
}

/// SESS-03: a list has pages, and leaves out sessions whose tokens have all expired.
#[tokio::test]
async fn a_list_of_sessions_has_pages_and_no_expired_ones() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    for _ in 0..3 {
        host.session_of(&id).await;
    }
    let token = host.session_of(&id).await.access_token;
    let page = host.get(&format!("{SESSIONS}?limit=3"), &token).await;
    assert_eq!(page.json["items"].as_array().unwrap().len(), 3);
    let cursor = page.text_at("/nextCursor");
    let rest = host.get(&format!("{SESSIONS}?limit=3&cursor={cursor}"), &token).await;
    assert_eq!(rest.json["items"].as_array().unwrap().len(), 1);
    assert!(rest.has_null_at("/nextCursor"));

    host.clock.advance(Duration::from_secs(8 * 86_400));
    let token = host.session_of(&id).await.access_token;
    assert_eq!(sessions(&host, &token).await.len(), 1);
}

/// SESS-03: the last use of a session is known to five minutes, and requests in between write
/// nothing.
#[tokio::test]
async fn the_last_use_is_stored_every_five_minutes() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    let version = async || -> String {
        sqlx::query_scalar(r#"SELECT xmin::text FROM "UserSession""#)
            .fetch_one(host.database.pool())
            .await
            .unwrap()
    };
    let opened = version().await;
    host.clock.advance(Duration::from_secs(299));
    let listed = sessions(&host, &token).await;
    assert_eq!(listed[0]["lastUsedAt"], "2026-03-01T12:00:00.123Z");
    assert_eq!(version().await, opened);
    host.clock.advance(Duration::from_secs(1));
    let listed = sessions(&host, &token).await;
    assert_eq!(listed[0]["lastUsedAt"], "2026-03-01T12:05:00.123Z");
    assert_ne!(version().await, opened);
}

/// SESS-03: while a row is locked, requests of its session are answered, and their use is not
/// stored.
#[tokio::test]
async fn a_locked_session_answers_and_keeps_its_last_use() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    host.clock.advance(Duration::from_secs(600));
    let held = host.holding(r#"SELECT FROM "UserSession" FOR UPDATE"#).await;
    let listed = sessions(&host, &token).await;
    assert_eq!(listed[0]["lastUsedAt"], "2026-03-01T12:00:00.123Z");
    drop(held);
}

/// AUTHN-15, SESS-02, TOK-06: a change of the password needs the current one, ends every session
/// and refresh token, and has a row in the audit log.
#[tokio::test]
async fn a_change_of_the_password_ends_all_sessions() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let here = host.session_of(&id).await;
    let there = host.session_of(&id).await;

    let wrong = change(&host, &here.access_token, "WrongPassword123!", NEW_PASSWORD).await;
    assert_eq!((wrong.code(), wrong.problem()), (403, "wrong_password"));
    assert_eq!(sessions(&host, &there.access_token).await.len(), 2);

    let done = change(&host, &here.access_token, PASSWORD, NEW_PASSWORD).await;
    assert_eq!((done.code(), done.text.as_str()), (204, ""));
    for pair in [&here, &there] {
        assert_eq!(host.get(SESSIONS, &pair.access_token).await.code(), 401);
        let body = json!({ "refreshToken": pair.refresh_token });
        assert_eq!(host.post("/api/v1/auth/refresh", "", &body).await.code(), 401);
    }
    assert_eq!(log_in(&host, PASSWORD).await.code(), 401);
    assert_eq!(log_in(&host, NEW_PASSWORD).await.code(), 200);
    assert_eq!(actions(&host).await, ["user.password_changed"]);
}

/// AUTHN-01, AUTHN-03, AUTHN-04: the rules for new passwords hold for a change, too.
#[tokio::test]
async fn a_changed_password_follows_the_rules() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    for (new, code) in [
        ("too short", "too_short"),
        ("my name is johnson, is it", "password_contains_own_name"),
        ("gxprotocol for ever and ever", "password_contains_product_name"),
        ("passwordpassword", "password_too_common"),
    ] {
        let answer = change(&host, &token, PASSWORD, new).await;
        assert_eq!((answer.code(), answer.pointers()), (400, vec!["/newPassword"]), "{new}");
        assert_eq!(answer.text_at("/errors/0/code"), code, "{new}");
    }
    assert_eq!(host.get(SESSIONS, &token).await.code(), 200);
}

/// AUTHN-15: of two changes at the same time with the same current password, one is made.
#[tokio::test]
async fn one_of_two_changes_at_once_is_made() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let (one, two) = (host.session_of(&id).await, host.session_of(&id).await);
    let other = "another rare one: tansy, mortar";
    let held = host.holding(r#"SELECT FROM "UserProfile" FOR UPDATE"#).await;
    let release = async {
        host.waiting_for_locks(2).await;
        drop(held);
    };
    let (first, second, ()) = tokio::join!(
        change(&host, &one.access_token, PASSWORD, NEW_PASSWORD),
        change(&host, &two.access_token, PASSWORD, other),
        release
    );
    let mut codes = [first.code(), second.code()];
    codes.sort_unstable();
    assert_eq!(codes, [204, 403]);
}

/// SESS-02: a change of the password or of the address that waits while its account is locked
/// changes nothing and mails nobody.
#[tokio::test]
async fn sess_02_a_change_that_waits_while_its_account_is_locked_changes_nothing() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let address = json!({ "newEmail": "thief@gxtest.com", "password": PASSWORD });
    let password = json!({ "currentPassword": PASSWORD, "newPassword": NEW_PASSWORD });
    for (path, body) in [("/api/v1/auth/email/change", address), (CHANGE, password)] {
        let token = host.session_of(&id).await.access_token;
        let mut holder = host.holding(r#"UPDATE "UserProfile" SET "isLocked" = true"#).await;
        let commit = async {
            host.waiting_for_locks(1).await;
            sqlx::query("COMMIT").execute(&mut holder).await.unwrap();
        };
        let (refused, ()) = tokio::join!(host.post(path, &token, &body), commit);
        assert_eq!((refused.code(), refused.problem()), (401, "unauthenticated"), "{path}");
        sqlx::query(r#"UPDATE "UserProfile" SET "isLocked" = false"#)
            .execute(host.database.pool())
            .await
            .unwrap();
    }
    assert!(host.mails().await.is_empty());
    assert_eq!(actions(&host).await, Vec::<String>::new());
    assert_eq!(log_in(&host, PASSWORD).await.code(), 200);
}
