//! Submissions for review, through the router.

use gx_auth::audit;
use gx_auth::testing::TestHost;
use gx_model::{AccountStatus, DenialFinality};
use serde_json::json;

use crate::{IdentitySettings, service};

async fn host(required: &[&str]) -> TestHost {
    let kyc_required_documents = required.iter().map(|kind| (*kind).to_owned()).collect();
    TestHost::new(|base| {
        let settings = IdentitySettings { kyc_required_documents, ..IdentitySettings::default() };
        service(&settings, base)
    })
    .await
}

/// KYC-01, API-12: a person can submit only from REGISTERED or after a denial with a retry.
#[tokio::test]
async fn a_person_submits_from_the_right_status_only() {
    let host = host(&[]).await;
    for status in AccountStatus::ALL {
        let id = host.add_person(&format!("{status}@gxtest.com").to_lowercase(), status).await;
        host.set_denial(&id, DenialFinality::Retry).await;
        let token = host.session_of(&id).await.access_token;
        let answer = host.post("/api/v1/users/me/kyc/submit", &token, &json!({})).await;
        let expected = match status {
            AccountStatus::Registered | AccountStatus::Denied => 200,
            AccountStatus::Suspended | AccountStatus::Closed => 401,
            _ => 409,
        };
        assert_eq!(answer.code(), expected, "{status}: {}", answer.text);
        if expected == 200 {
            assert_eq!(answer.json["status"], "PENDING_ADMIN_APPROVAL");
            let again = host.post("/api/v1/users/me/kyc/submit", &token, &json!({})).await;
            assert_eq!((again.code(), again.problem()), (409, "kyc_not_open"));
        }
    }
    let submissions: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "KYCVerification""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(submissions, 2);
    audit::verify(&mut host.base.connection().await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_facts_that_a_review_needs_are_listed() {
    let host = host(&["PASSPORT"]).await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    sqlx::query(r#"UPDATE "UserProfile" SET "phoneNum" = NULL, "nationalityCountryCode" = NULL"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    let token = host.session_of(&id).await.access_token;
    let before = host.rows().await;
    let answer = host.post("/api/v1/users/me/kyc/submit", &token, &json!({})).await;
    assert_eq!((answer.code(), answer.problem()), (422, "kyc_incomplete"));
    let expected = ["/phoneNum", "/nationalityCountryCode", "/documents/PASSPORT"];
    assert_eq!(answer.pointers(), expected);
    assert_eq!(host.rows().await, before);
}

#[tokio::test]
async fn a_submission_needs_no_body_and_knows_no_fields() {
    let host = host(&[]).await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    let body = json!({ "status": "ACTIVE" });
    let answer = host.post("/api/v1/users/me/kyc/submit", &token, &body).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/status"]));
    let answer = host.ask("POST", "/api/v1/users/me/kyc/submit").token(&token).send().await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    let answer = host.get("/api/v1/users/me/kyc", &token).await;
    assert_eq!(answer.json, json!({ "status": "PENDING_ADMIN_APPROVAL", "documents": [] }));
}
