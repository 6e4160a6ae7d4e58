//! Account locks, through the routers.

use gx_auth::AdminRole;
use gx_auth::testing::{PASSWORD, TestHost, token_in};
use gx_model::AccountStatus;
use serde_json::json;

use crate::tests::{host, identity};

async fn set(host: &TestHost, token: &str, id: &str, action: &str) -> gx_auth::testing::Answer {
    let path = format!("/api/v1/admin/users/{id}/{action}");
    host.post(&path, token, &json!({ "reason": "suspicious", "notes": "seen twice" })).await
}

/// G6, API-12: in every status a lock refuses the person's next request and refresh, and after an
/// unlock the person needs a new login.
#[tokio::test]
async fn a_lock_works_on_the_next_request_in_every_status() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let identity = identity(&host);
    for status in AccountStatus::ALL {
        let id = host.add_person(&format!("{status}@gxtest.com").to_lowercase(), status).await;
        let session = host.session_of(&id).await;
        let look = async || {
            let ask = host.ask("GET", "/api/v1/users/me").token(&session.access_token);
            ask.send_to(&identity).await.code()
        };
        let closed = [AccountStatus::Denied, AccountStatus::Suspended, AccountStatus::Closed];
        let open = if closed.contains(&status) { 401 } else { 200 };
        assert_eq!(look().await, open, "{status}");
        let answer = set(&host, &token, &id, "lock").await;
        assert_eq!((answer.code(), &answer.json), (200, &json!({ "isLocked": true })));
        assert_eq!(look().await, 401, "{status}");
        let body = json!({ "refreshToken": session.refresh_token });
        let refresh = host.ask("POST", "/api/v1/auth/refresh").json(&body);
        assert_eq!(refresh.send_to(&identity).await.code(), 401);
        assert_eq!(set(&host, &token, &id, "lock").await.problem(), "already_so");
        let answer = set(&host, &token, &id, "unlock").await;
        assert_eq!((answer.code(), &answer.json), (200, &json!({ "isLocked": false })));
        assert_eq!(set(&host, &token, &id, "unlock").await.problem(), "already_so");
        assert_eq!(look().await, 401, "{status}: the sessions have ended");
    }
}

/// A lock and its end are in the audit log, and the account's row has the reason and the
/// administrator while it is locked.
#[tokio::test]
async fn a_lock_is_recorded_with_its_reason_and_its_administrator() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let recorded = async |action: &str, before: bool, after: bool| -> String {
        let log = host.get("/api/v1/admin/audit?limit=1", &token).await.json;
        let entry = &log["items"][0];
        assert_eq!(
            (&entry["action"], &entry["targetType"], &entry["targetId"]),
            (&json!(action), &json!("UserProfile"), &json!(id))
        );
        assert_eq!(entry["before"], json!({ "isLocked": before }));
        let reason = json!({ "isLocked": after, "reason": "suspicious", "notes": "seen twice" });
        assert_eq!((&entry["actorType"], &entry["after"]), (&json!("ADMIN"), &reason));
        entry["actorId"].as_str().unwrap().to_owned()
    };
    let row = async || -> [Option<String>; 3] {
        let row = sqlx::query_as(
            r#"SELECT "lockReason", "lockNotes", "lockedBy" FROM "UserProfile"
               WHERE "profileId" = $1"#,
        );
        let row: (Option<String>, Option<String>, Option<String>) =
            row.bind(&id).fetch_one(host.database.pool()).await.unwrap();
        row.into()
    };
    assert_eq!(set(&host, &token, &id, "lock").await.code(), 200);
    let by = recorded("user.locked", false, true).await;
    let lock = ["suspicious", "seen twice", &by].map(|text| Some(text.to_owned()));
    assert_eq!(row().await, lock);
    assert_eq!(set(&host, &token, &id, "unlock").await.code(), 200);
    assert_eq!(recorded("user.unlocked", true, false).await, by);
    assert_eq!(row().await, [None, None, None]);
}

#[tokio::test]
async fn a_lock_needs_a_reason_and_a_person() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let answer = host.post("/api/v1/admin/users/nobody/lock", &token, &json!({})).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/reason"]));
    assert_eq!(set(&host, &token, "nobody", "lock").await.problem(), "no_user");
}

/// AUTHN-11: an unlock ends the delay after failed sign-ins, too, if the account is not locked.
#[tokio::test]
async fn an_unlock_forgets_failed_sign_ins() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let identity = identity(&host);
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let log_in = async |password: &str| {
        let body = json!({ "email": "sarah@gxtest.com", "password": password });
        let ask = host.ask("POST", "/api/v1/auth/login").json(&body);
        ask.send_to(&identity).await.code()
    };
    for _ in 0..5 {
        assert_eq!(log_in("WrongPassword123!").await, 401);
    }
    assert_eq!(log_in(PASSWORD).await, 429);
    assert_eq!(set(&host, &token, &id, "unlock").await.code(), 200);
    assert_eq!(set(&host, &token, &id, "unlock").await.problem(), "already_so");
    assert_eq!(log_in(PASSWORD).await, 200);
}

/// SEC-API-02: a lock that is repeated with its key gets the first answer, and does not lock again;
/// the key of one account is refused for another, and is unrelated to that of another
/// administrator.
#[tokio::test]
async fn a_repeated_lock_gets_the_first_answer() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let other_admin = host.add_administrator(AdminRole::Admin).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let other = host.add_person("eve@gxtest.com", AccountStatus::Active).await;
    let lock = async |token: &str, id: &str| {
        let ask = host.ask("POST", &format!("/api/v1/admin/users/{id}/lock")).token(token);
        ask.json(&json!({ "reason": "suspicious" })).header("idempotency-key", "k1").send().await
    };
    assert_eq!(lock(&token, &id).await.code(), 200);
    assert_eq!(lock(&token, &id).await.code(), 200);
    assert_eq!(set(&host, &token, &id, "unlock").await.code(), 200);
    assert_eq!(lock(&token, &id).await.code(), 200);
    assert_eq!(set(&host, &token, &id, "unlock").await.problem(), "already_so");
    assert_eq!(lock(&token, &other).await.problem(), "idempotency_key_reused");
    assert_eq!(lock(&other_admin, &other).await.code(), 200);
}

/// AUTHN-15: a lock ends a change of the address that somebody has asked for, whether or not its
/// mail was sent.
#[tokio::test]
async fn authn_15_a_lock_ends_a_change_of_the_address() {
    let host = host().await;
    let admin = host.add_administrator(AdminRole::Admin).await.access_token;
    let identity = identity(&host);
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let change = async || {
        let token = host.session_of(&id).await.access_token;
        let body = json!({ "newEmail": "thief@gxtest.com", "password": PASSWORD });
        let ask = host.ask("POST", "/api/v1/auth/email/change").token(&token).json(&body);
        assert_eq!(ask.send_to(&identity).await.code(), 202);
    };
    change().await;
    let link =
        json!({ "token": token_in(&host.mail_about("Confirm your new e-mail address").await) });
    assert_eq!(set(&host, &admin, &id, "lock").await.code(), 200);
    assert_eq!(set(&host, &admin, &id, "unlock").await.code(), 200);
    let ask = host.ask("POST", "/api/v1/auth/email/verify").json(&link);
    assert_eq!(ask.send_to(&identity).await.problem(), "invalid_mail_token");
    change().await;
    assert_eq!(set(&host, &admin, &id, "lock").await.code(), 200);
    assert_eq!(host.subjects().await, ["Your e-mail address is about to change"]);
}
