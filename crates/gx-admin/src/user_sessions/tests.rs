//! Sessions of people and of administrators, through the router.

use gx_auth::AdminRole;
use gx_auth::testing::{Answer, PASSWORD, TestHost};
use gx_model::AccountStatus;
use serde_json::json;

use crate::tests::{host, identity};

async fn look(host: &TestHost, token: &str) -> u16 {
    let identity = identity(host);
    host.ask("GET", "/api/v1/users/me").token(token).send_to(&identity).await.code()
}

async fn delete(host: &TestHost, token: &str, path: &str) -> Answer {
    host.ask("DELETE", path).token(token).send().await
}

/// SESS-03: an administrator lists a person's sessions, and ends one or all; the next request with
/// their tokens is refused.
#[tokio::test]
async fn an_administrator_ends_one_or_all_sessions_of_a_person() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let sarah = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let other = host.add_person("eve@gxtest.com", AccountStatus::Active).await;
    let other = host.session_of(&other).await.access_token;
    let one = host.session_of(&sarah).await.access_token;
    // Ids sort by their milliseconds.
    host.clock.advance(std::time::Duration::from_millis(1));
    let two = host.session_of(&sarah).await.access_token;
    let path = format!("/api/v1/admin/users/{sarah}/sessions");

    let listed = host.get(&path, &token).await;
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 2);
    assert_eq!(listed.json["items"][0]["isCurrent"], false);
    let newest = listed.text_at("/items/0/sessionId");
    for _ in 0..2 {
        assert_eq!(delete(&host, &token, &format!("{path}/{newest}")).await.code(), 204);
    }
    assert_eq!((look(&host, &one).await, look(&host, &two).await), (200, 401));
    assert_eq!(delete(&host, &token, &format!("{path}/nobody")).await.problem(), "no_session");

    assert_eq!(delete(&host, &token, &path).await.code(), 204);
    assert_eq!((look(&host, &one).await, look(&host, &other).await), (401, 200));
    let nobody = "/api/v1/admin/users/nobody/sessions";
    assert_eq!(host.get(nobody, &token).await.problem(), "no_user");
    assert_eq!(delete(&host, &token, nobody).await.problem(), "no_user");
    let actions: Vec<String> =
        sqlx::query_scalar(r#"SELECT action FROM "AuditEntry" ORDER BY seq"#)
            .fetch_all(host.database.pool())
            .await
            .unwrap();
    assert_eq!(actions, ["user.sessions_ended"; 2]);
}

/// SESS-03, SESS-02, AUTHN-15: an administrator lists and ends own sessions, and a change of the
/// password ends them all.
#[tokio::test]
async fn an_administrator_ends_own_sessions_and_changes_the_password() {
    let host = host().await;
    let new = crate::NewAdministrator {
        email: "admin@gxtest.com".to_owned(),
        display_name: "First".to_owned(),
        role: AdminRole::Auditor,
        password: gx_auth::NewPassword::new(PASSWORD).unwrap(),
    };
    let mut conn = host.base.connection().await.unwrap();
    let (hasher, entropy) = (&host.base.auth.hasher, &host.base.entropy);
    let now = host.clock.now();
    crate::create_administrator(&mut conn, hasher, entropy, &new, "test", now).await.unwrap();
    drop(conn);
    let log_in = async |password: &str| {
        let body = json!({ "email": "admin@gxtest.com", "password": password });
        host.post("/api/v1/admin/auth/login", "", &body).await
    };
    let here = log_in(PASSWORD).await.text_at("/accessToken").to_owned();
    // Ids sort by their milliseconds.
    host.clock.advance(std::time::Duration::from_millis(1));
    let there = log_in(PASSWORD).await.text_at("/accessToken").to_owned();
    let sessions = "/api/v1/admin/me/sessions";
    let listed = host.get(sessions, &there).await;
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 2);
    assert_eq!(listed.json["items"][0]["isCurrent"], true);
    let first = listed.text_at("/items/1/sessionId");
    assert_eq!(delete(&host, &there, &format!("{sessions}/{first}")).await.code(), 204);
    assert_eq!(host.get(sessions, &here).await.code(), 401);

    let change = async |current: &str| {
        let body = json!({ "currentPassword": current,
                           "newPassword": "four rare words: quince, gable" });
        host.post("/api/v1/admin/auth/password/change", &there, &body).await
    };
    assert_eq!(change("WrongPassword123!").await.problem(), "wrong_password");
    assert_eq!(change(PASSWORD).await.code(), 204);
    assert_eq!(host.get(sessions, &there).await.code(), 401);
    assert_eq!(log_in(PASSWORD).await.code(), 401);
    assert_eq!(log_in("four rare words: quince, gable").await.code(), 200);
}

/// SESS-01, OWASP ASVS 7.3.1: an administrator's session ends when it was unused for thirty
/// minutes: every replica refuses its next request and its refresh token. One that is used goes on,
/// and a person's session has no such limit.
#[tokio::test]
async fn sess_01_an_unused_session_of_an_administrator_ends() {
    let host = host().await;
    let replica = crate::tests::service_of(host.base.clone());
    let sarah = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let sarah = host.session_of(&sarah).await.access_token;
    let used = host.add_administrator(AdminRole::Auditor).await.access_token;
    let idle = host.add_administrator(AdminRole::Auditor).await;
    let refreshed = host.add_administrator(AdminRole::Auditor).await.refresh_token;
    let sessions = "/api/v1/admin/me/sessions";
    let get = async |token: &str, service: &gx_serve::Service| {
        host.ask("GET", sessions).token(token).send_to(service).await.code()
    };
    let refresh = async |token: &str, service: &gx_serve::Service| {
        let body = json!({ "refreshToken": token });
        host.ask("POST", "/api/v1/admin/auth/refresh").json(&body).send_to(service).await
    };
    // Each use is a little before the limit, by the one replica and the other.
    let minutes = |n| std::time::Duration::from_mins(n);
    host.clock.advance(minutes(29));
    assert_eq!(get(&used, &replica).await, 200);
    assert_eq!(get(&idle.access_token, &host.service).await, 200);
    let refreshed = refresh(&refreshed, &replica).await.text_at("/refreshToken").to_owned();
    host.clock.advance(minutes(29));
    assert_eq!(get(&used, &host.service).await, 200);
    let refreshed = refresh(&refreshed, &host.service).await.text_at("/accessToken").to_owned();
    host.clock.advance(minutes(1));

    for service in [&host.service, &replica] {
        assert_eq!(get(&idle.access_token, service).await, 401);
        let refused = refresh(&idle.refresh_token, service).await;
        assert_eq!((refused.code(), refused.problem()), (401, "invalid_refresh_token"));
        assert_eq!(get(&used, service).await, 200);
        assert_eq!(get(&refreshed, service).await, 200);
    }
    host.clock.advance(minutes(60));
    assert_eq!(look(&host, &sarah).await, 200);
}

/// SESS-03: a session of an administrator that has ended because it was unused is in no list.
#[tokio::test]
async fn sess_03_an_unused_session_of_an_administrator_is_not_listed() {
    let host = host().await;
    let new = crate::NewAdministrator {
        email: "admin@gxtest.com".to_owned(),
        display_name: "First".to_owned(),
        role: AdminRole::Auditor,
        password: gx_auth::NewPassword::new(PASSWORD).unwrap(),
    };
    let mut conn = host.base.database.connection().await.unwrap();
    let (hasher, entropy) = (&host.base.auth.hasher, &host.base.entropy);
    let now = host.clock.now();
    crate::create_administrator(&mut conn, hasher, entropy, &new, "test", now).await.unwrap();
    drop(conn);
    let body = json!({ "email": "admin@gxtest.com", "password": PASSWORD });
    let log_in = async || host.post("/api/v1/admin/auth/login", "", &body).await;
    log_in().await;
    host.clock.advance(std::time::Duration::from_mins(30));
    let now = log_in().await.text_at("/accessToken").to_owned();
    let listed = host.get("/api/v1/admin/me/sessions", &now).await;
    let items = listed.json["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["isCurrent"]), (1, &json!(true)));
}

/// AUTHN-11: failures of an administrator's sign-in are counted apart from those of a person with
/// the same address.
#[tokio::test]
async fn an_administrators_failures_block_no_person() {
    let host = host().await;
    let body = json!({ "email": "sarah@gxtest.com", "password": "WrongPassword123!" });
    let admin = async || host.post("/api/v1/admin/auth/login", "", &body).await;
    for _ in 0..5 {
        assert_eq!(admin().await.code(), 401);
    }
    assert_eq!((admin().await.code(), admin().await.problem()), (429, "quota_exceeded"));
    let identity = identity(&host);
    let person = host.ask("POST", "/api/v1/auth/login").json(&body).send_to(&identity).await;
    assert_eq!(person.code(), 401);
}
