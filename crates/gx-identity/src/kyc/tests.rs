//! Submissions for review, through the router.

use clap::Parser as _;
use gx_auth::audit;
use gx_auth::testing::TestHost;
use gx_documents::testing::{form, held_documents_of, passport_form, png, selfie_form};
use gx_model::{AccountStatus, DenialFinality};
use serde_json::json;

use crate::IdentitySettings;
use crate::tests::{hand_in, send_form, service};

const DOCUMENTS: &str = "/api/v1/users/me/kyc/documents";
const SUBMIT: &str = "/api/v1/users/me/kyc/submit";

/// Returns a service that requires these documents.
async fn host(required: &str) -> TestHost {
    TestHost::new(|base| service(&requiring(required), base)).await
}

fn requiring(required: &str) -> IdentitySettings {
    let kyc_required_documents = required.parse().unwrap();
    IdentitySettings { kyc_required_documents, ..IdentitySettings::default() }
}

/// Hands in a side of a national id.
async fn hand_in_side(host: &TestHost, token: &str, side: &str) {
    let fields = [("type", "NATIONAL_ID"), ("side", side)];
    let side = form(&fields, "card.png", "image/png", &png(60, 40));
    assert_eq!(send_form(host, "POST", DOCUMENTS, token, side).await.code(), 201);
}

/// KYC-01, API-12: a person can submit only from REGISTERED or after a denial with a retry.
#[tokio::test]
async fn a_person_submits_from_the_right_status_only() {
    let host = host("none").await;
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
    let host = host("PASSPORT").await;
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

/// KYC-01: one document of each group is needed, a card with both sides. What is missing is listed,
/// and a document that waits for the scanner is there.
#[tokio::test]
async fn kyc_01_the_documents_that_a_review_needs_are_listed() {
    let host = crate::tests::host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    let missing = async || {
        let answer = host.post(SUBMIT, &token, &json!({})).await;
        let pointers: Vec<String> = answer.pointers().into_iter().map(str::to_owned).collect();
        (answer.code(), pointers)
    };
    let any = "/documents/PASSPORT|NATIONAL_ID|DRIVERS_LICENSE".to_owned();
    let selfie = "/documents/SELFIE_PHOTO".to_owned();
    assert_eq!(missing().await, (422, vec![any, selfie.clone()]));
    hand_in_side(&host, &token, "front").await;
    let back = "/documents/NATIONAL_ID/back".to_owned();
    assert_eq!(missing().await, (422, vec![back.clone(), selfie]));
    let sent = send_form(&host, "POST", DOCUMENTS, &token, selfie_form()).await;
    assert_eq!(sent.code(), 201);
    assert_eq!(missing().await, (422, vec![back]));
    hand_in_side(&host, &token, "back").await;
    assert_eq!(missing().await, (200, vec![]));

    let held = TestHost::new(|base| {
        let documents = held_documents_of(&base);
        crate::service(&requiring("PASSPORT"), base, documents)
    })
    .await;
    let id = held.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = held.session_of(&id).await.access_token;
    let sent = send_form(&held, "POST", DOCUMENTS, &token, passport_form()).await;
    assert_eq!((sent.code(), sent.text_at("/status")), (201, "QUARANTINED"));
    assert_eq!(held.post(SUBMIT, &token, &json!({})).await.code(), 200);
}

/// KYC-01: a document that a reviewer has rejected must be handed in again.
#[tokio::test]
async fn kyc_01_a_rejected_document_is_missing() {
    let host = crate::tests::host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    hand_in(&host, &token).await;
    sqlx::query(r#"UPDATE "KYCDocument" SET status = 'REJECTED' WHERE type = 'PASSPORT'"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    let refused = host.post(SUBMIT, &token, &json!({})).await;
    let expected = vec!["/documents/PASSPORT|NATIONAL_ID|DRIVERS_LICENSE"];
    assert_eq!((refused.problem(), refused.pointers()), ("kyc_incomplete", expected));
    let sent = send_form(&host, "POST", DOCUMENTS, &token, passport_form()).await;
    assert_eq!(sent.code(), 201);
    assert_eq!(host.post(SUBMIT, &token, &json!({})).await.code(), 200);
}

/// CFG-02: a list of required documents that cannot be read is refused with the reason.
#[test]
fn a_wrong_list_of_required_documents_is_refused_by_name() {
    #[derive(Debug, clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        identity: IdentitySettings,
    }
    let read = |list: &str| {
        let argument = format!("--kyc-required-documents={list}");
        CommandLine::try_parse_from(["svc-identity", &argument])
    };
    let default = CommandLine::try_parse_from(["svc-identity"]).unwrap().identity;
    assert_eq!(default.kyc_required_documents, IdentitySettings::default().kyc_required_documents);
    assert_eq!(default.documents_per_person, IdentitySettings::default().documents_per_person);
    let none = read("none").unwrap().identity;
    assert_eq!(none.kyc_required_documents.to_string(), "none");
    for (wrong, reason) in [
        ("PASSPROT", "`PASSPROT` is no type of a document"),
        ("PASSPORT,,SELFIE_PHOTO", "a type of a document is missing"),
        ("PASSPORT|PASSPORT", "PASSPORT is in the list twice"),
    ] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains(reason), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn a_submission_needs_no_body_and_knows_no_fields() {
    let host = host("none").await;
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
