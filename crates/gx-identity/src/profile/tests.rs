//! Profiles through the router.

use gx_auth::testing::TestHost;
use gx_model::AccountStatus;
use serde_json::json;

use crate::{IdentitySettings, service};

async fn host() -> TestHost {
    TestHost::new(|base| service(&IdentitySettings::default(), base)).await
}

/// API-07: a person's own profile has no hash and no secret in it.
#[tokio::test]
async fn the_profile_shows_facts_and_no_credentials() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    let answer = host.get("/api/v1/users/me", &token).await;
    assert_eq!(answer.code(), 200);
    let user = &answer.json["user"];
    assert_eq!(user["profileId"], id);
    assert_eq!(user["dateOfBirth"], "1992-08-20");
    assert_eq!(user["onchainStatus"], "NOT_REGISTERED");
    assert!(user["fabricUserId"].is_null());
    for secret in ["passwordHash", "argon2", "refresh", "biometric"] {
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
}

#[tokio::test]
async fn facts_change_until_review_and_not_after() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    let change = async |body: serde_json::Value| {
        host.ask("PATCH", "/api/v1/users/me").token(&token).json(&body).send().await
    };
    let answer = change(json!({ "firstName": "Sara", "nationalityCountryCode": "sg" })).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    assert_eq!(answer.json["user"]["firstName"], "Sara");
    assert_eq!(answer.json["user"]["nationalityCountryCode"], "SG");
    let answer = change(json!({ "status": "ACTIVE", "phoneNum": "1" })).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/phoneNum", "/status"]));

    host.post("/api/v1/users/me/kyc/submit", &token, &json!({})).await;
    let answer = change(json!({ "firstName": "Eve" })).await;
    assert_eq!((answer.code(), answer.problem()), (409, "profile_closed"));
}

#[tokio::test]
async fn the_way_to_the_ledger_is_told_in_steps() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::ApprovedPendingOnchain).await;
    let token = host.session_of(&id).await.access_token;
    let answer = host.get("/api/v1/users/me/onchain", &token).await;
    assert_eq!(answer.json, json!({ "onchainStatus": "NOT_REGISTERED", "steps": [] }));
    sqlx::query(
        r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey",
               lane, touches, "profileId", "requestedBy", status, outcome, "settledAt",
               "nextAttemptAt", "createdAt", "updatedAt")
           VALUES ('c1', 'CREATE_USER', '{}', 'ADMIN', 'k', 0, '{}', $1, 'test', 'REFUSED',
               '{"status": "REFUSED", "rejection": {"code": "USER_EXISTS", "detail": "x"}}',
               now(), now(), now(), now())"#,
    )
    .bind(&id)
    .execute(host.database.pool())
    .await
    .unwrap();
    let answer = host.get("/api/v1/users/me/onchain", &token).await;
    let step = &answer.json["steps"][0];
    assert_eq!(step["name"], "registration");
    assert_eq!((&step["state"], &step["reason"]), (&json!("refused"), &json!("USER_EXISTS")));
}
