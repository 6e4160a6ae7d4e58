//! Profiles through the router.

use gx_auth::testing::TestHost;
use gx_model::AccountStatus;
use serde_json::json;

use crate::IdentitySettings;
use crate::tests::{hand_in, service};

async fn host() -> TestHost {
    TestHost::new(|base| service(&IdentitySettings::default(), base)).await
}

/// API-07: the profile has no hash and no secret.
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
    assert!(answer.has_null_at("/user/fabricUserId"), "{}", answer.text);
    for secret in ["passwordHash", "argon2", "refresh", "biometric"] {
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
}

#[tokio::test]
async fn facts_can_be_changed_until_review_and_not_after() {
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

    hand_in(&host, &token).await;
    let answer = host.post("/api/v1/users/me/kyc/submit", &token, &json!({})).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    let answer = change(json!({ "firstName": "Eve" })).await;
    assert_eq!((answer.code(), answer.problem()), (409, "profile_closed"));
}

/// API-08: `null` clears a field that may be empty and is refused for any other field; it is never
/// accepted without effect.
#[tokio::test]
async fn null_clears_a_field_or_is_refused() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    let change = async |body: serde_json::Value| {
        host.ask("PATCH", "/api/v1/users/me").token(&token).json(&body).send().await
    };
    assert_eq!(change(json!({ "identityNum": "A123456(3)" })).await.code(), 200);
    let answer = change(json!({ "firstName": null })).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/firstName"]));
    let message = &answer.json["errors"][0]["message"];
    assert_eq!(message, "cannot be emptied; leave it out to keep it");
    let row = async || -> (String, String, Option<String>, Option<String>, Option<String>) {
        sqlx::query_as(
            r#"SELECT "firstName", "lastName", "phoneNum", "nationalityCountryCode", "identityNum"
               FROM "UserProfile""#,
        )
        .fetch_one(host.database.pool())
        .await
        .unwrap()
    };
    let before = row().await;
    assert_eq!((&*before.0, &*before.1), ("Sarah", "Johnson"));
    assert_eq!(before.4.as_deref(), Some("A123456(3)"));

    let answer = change(json!({ "lastName": null, "phoneNum": null })).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    assert!(answer.has_null_at("/user/lastName"), "{}", answer.text);
    assert!(answer.has_null_at("/user/phoneNum"), "{}", answer.text);
    let after = row().await;
    assert_eq!((&*after.1, &after.2, &after.3, &after.4), ("", &None, &before.3, &before.4));

    let answer = change(json!({ "nationalityCountryCode": null, "identityNum": null })).await;
    assert!(answer.has_null_at("/user/nationalityCountryCode"), "{}", answer.text);
    assert_eq!(row().await, ("Sarah".to_owned(), String::new(), None, None, None));
    let answer = change(json!({ "lastName": "Johnson" })).await;
    assert_eq!(answer.json["user"]["lastName"], "Johnson");
}

/// API-08: a change is a merge patch, and may be sent with that media type or as JSON only.
#[tokio::test]
async fn a_change_is_a_merge_patch() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    let send = async |method: &str, path: &str, media_type: &'static str| {
        let body = br#"{"firstName": "Sara"}"#.to_vec();
        host.ask(method, path).token(&token).bytes(media_type, body).send().await
    };
    let me = "/api/v1/users/me";
    for media_type in [
        "application/merge-patch+json",
        "Application/Merge-Patch+JSON; charset=utf-8",
        "application/json",
    ] {
        let answer = send("PATCH", me, media_type).await;
        assert_eq!(answer.code(), 200, "{media_type}: {}", answer.text);
        assert_eq!(answer.json["user"]["firstName"], "Sara");
    }
    let answer = send("PATCH", me, "application/json-patch+json").await;
    assert_eq!((answer.code(), answer.problem()), (415, "unsupported_media_type"));
    assert_eq!(answer.headers["accept-patch"], "application/merge-patch+json, application/json");
    let answer = send("POST", "/api/v1/users/me/kyc/submit", "application/merge-patch+json").await;
    assert_eq!(answer.code(), 415, "only a PATCH is one");
}

#[tokio::test]
async fn the_registration_on_the_ledger_is_shown_in_steps() {
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
