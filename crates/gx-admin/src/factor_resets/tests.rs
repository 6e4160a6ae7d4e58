//! Resets of second factors, through the routers.

use gx_auth::testing::{PASSWORD, TestHost, totp_code};
use gx_auth::{AdminRole, Audience, TokenUse};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use crate::tests::{host, identity};

/// Returns the newest entry of the audit log, with the reason instead of its hash.
async fn audit_entry(host: &TestHost) -> (String, Option<String>, Value) {
    sqlx::query_as(
        r#"SELECT action, "targetId", after || jsonb_build_object(field, text)
           FROM "AuditEntry" JOIN "AuditText" USING (seq) ORDER BY seq DESC LIMIT 1"#,
    )
    .fetch_one(host.database.pool())
    .await
    .unwrap()
}

/// Returns the id of the administrator of a token.
fn admin_id(host: &TestHost, token: &str) -> String {
    let tokens = host.base.auth.sessions.tokens();
    tokens.verify(token, TokenUse::Access, Audience::Admin).unwrap().sub
}

/// AUTHN-16: an administrator removes the factor of a person who has lost it. All sessions of the
/// person end, the next sign-in needs the password alone, and a second reset gives the same answer.
#[tokio::test]
async fn authn_16_a_reset_removes_the_factor_and_ends_all_sessions() {
    let host = host().await;
    let identity = identity(&host);
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    let ask = async |path: &str, body: Value| {
        let path = format!("/api/v1/{path}");
        host.ask("POST", &path).token(&token).json(&body).send_to(&identity).await
    };
    let new = ask("users/me/totp", json!({ "password": PASSWORD })).await;
    let code = totp_code(new.text_at("/secret"), host.clock.now());
    assert_eq!(ask("users/me/totp/confirm", json!({ "code": code })).await.code(), 200);
    let log_in = async || {
        let body = json!({ "email": "sarah@gxtest.com", "password": PASSWORD });
        let ask = host.ask("POST", "/api/v1/auth/login").json(&body);
        ask.send_to(&identity).await
    };
    assert_eq!(log_in().await.problem(), "second_factor_required");

    let admin = host.add_administrator(AdminRole::Admin).await.access_token;
    let path = format!("/api/v1/admin/users/{id}/factors/reset");
    let without = host.post(&path, &admin, &json!({})).await;
    assert_eq!((without.code(), without.pointers()), (400, vec!["/reason"]));
    for (was_enabled, ended) in [(true, 1), (false, 0)] {
        let answer = host.post(&path, &admin, &json!({ "reason": "phone lost" })).await;
        assert_eq!((answer.code(), answer.text.as_str()), (202, r#"{"proposalId":null}"#));
        let after = json!({ "totpWasEnabled": was_enabled, "ended": ended, "passkeysRemoved": 0,
                    "reason": "phone lost" });
        let expected = ("user.factors_reset".to_owned(), Some(id.clone()), after);
        assert_eq!(audit_entry(&host).await, expected);
    }
    let me = host.ask("GET", "/api/v1/users/me").token(&token).send_to(&identity).await;
    assert_eq!(me.code(), 401);
    assert_eq!(log_in().await.code(), 200);
    let nobody = "/api/v1/admin/users/nobody/factors/reset";
    let unknown = host.post(nobody, &admin, &json!({ "reason": "phone lost" })).await;
    assert_eq!((unknown.code(), unknown.problem()), (404, "no_user"));
}

/// AUTHN-16: a SUPER_ADMIN removes the factor of another administrator, and not the own one.
#[tokio::test]
async fn authn_16_only_another_administrator_is_reset() {
    let host = host().await;
    let other = host.add_administrator(AdminRole::Reviewer).await.access_token;
    let other_id = admin_id(&host, &other);
    let own = host.add_administrator(AdminRole::SuperAdmin).await.access_token;
    let own_id = admin_id(&host, &own);
    let reset = async |id: &str| {
        let path = format!("/api/v1/admin/administrators/{id}/factors/reset");
        host.post(&path, &own, &json!({ "reason": "phone lost" })).await
    };
    assert_eq!(reset(&other_id).await.code(), 202);
    assert_eq!(host.get("/api/v1/admin/users", &other).await.code(), 401);
    let after = json!({ "totpWasEnabled": false, "ended": 1, "passkeysRemoved": 0,
                        "reason": "phone lost" });
    let expected = ("admin.factors_reset".to_owned(), Some(other_id), after);
    assert_eq!(audit_entry(&host).await, expected);
    assert_eq!(reset(&own_id).await.problem(), "forbidden");
    for nobody in ["nobody", "no%20body"] {
        let unknown = reset(nobody).await;
        assert_eq!((unknown.code(), unknown.problem()), (404, "no_administrator"));
    }
    assert_eq!(host.get("/api/v1/admin/users", &own).await.code(), 200);
}
