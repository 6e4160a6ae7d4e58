//! Asking a person for documents again, through the router.

use std::time::Duration;

use gx_auth::testing::{Answer, TestHost};
use gx_auth::{AdminRole, review_clock};
use gx_db::ProfileId;
use gx_documents::{DocumentSide, DocumentType, requests};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use crate::tests::host;

async fn ask(host: &TestHost, token: &str, id: &str, documents: Value) -> Answer {
    let body = json!({ "documents": documents, "publicComment": "too dark" });
    host.post(&format!("/api/v1/admin/users/{id}/ask-again"), token, &body).await
}

/// Returns the open requests of a person: types, sides and comments.
async fn open(host: &TestHost, id: &str) -> Vec<(DocumentType, Option<DocumentSide>, String)> {
    let mut conn = host.base.connection().await.unwrap();
    let person = ProfileId::from(id.to_owned());
    let open = requests::open_requests(&mut conn, &person).await.unwrap();
    let parts = |one: requests::DocumentRequest| {
        (one.kind, one.side.map(|side| side.0), one.public_comment.unwrap())
    };
    open.into_iter().map(parts).collect()
}

async fn queue(host: &TestHost, token: &str) -> Value {
    host.get("/api/v1/admin/review/queue", token).await.json["items"][0].clone()
}

/// KYC-05: asking again opens only the named documents, both sides of a card; the account stays
/// under review and the clock is stopped until all of them are there.
#[tokio::test]
async fn kyc_05_asking_again_stops_the_clock_until_the_documents_are_there() {
    use DocumentSide::{Back, Front};
    use DocumentType::{NationalId, Passport, SelfiePhoto};
    let host = host().await;
    let token = host.add_administrator(AdminRole::Reviewer).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let wanted = json!([{ "type": "NATIONAL_ID" }, { "type": "SELFIE_PHOTO", "side": null }]);
    let asked = ask(&host, &token, &id, wanted).await;
    assert_eq!(asked.json, json!({ "status": "PENDING_ADMIN_APPROVAL" }), "{}", asked.text);
    let dark = || "too dark".to_owned();
    let expected = [
        (NationalId, Some(Back), dark()),
        (NationalId, Some(Front), dark()),
        (SelfiePhoto, None, dark()),
    ];
    assert_eq!(open(&host, &id).await, expected);
    assert!(queue(&host, &token).await["stoppedAt"].is_string());
    let entry = host.get("/api/v1/admin/audit", &token).await.json["items"][0].clone();
    assert_eq!(entry["action"], "review.asked_again");
    assert_eq!(entry["after"]["documents"][0], json!({ "type": "NATIONAL_ID", "side": "front" }));
    assert!(!entry.to_string().contains("dark"), "texts about people are not in the entries");

    // A second request adds a document; the clock is stopped already.
    let front = json!([{ "type": "PASSPORT", "side": "front" }]);
    assert_eq!(ask(&host, &token, &id, front).await.code(), 200);
    assert_eq!(open(&host, &id).await[2], (Passport, Some(Front), dark()));
    host.clock.advance(Duration::from_mins(10));
    let person = ProfileId::from(id.clone());
    let mut conn = host.base.connection().await.unwrap();
    for (kind, side, left) in [
        (NationalId, Some(Front), 3),
        (NationalId, Some(Back), 2),
        (SelfiePhoto, None, 1),
        (Passport, Some(Front), 0),
    ] {
        assert_eq!(requests::meet(&mut conn, &person, kind, side).await.unwrap(), left);
    }
    assert!(review_clock::resume(&mut conn, &person, host.clock.now()).await.unwrap());
    drop(conn);
    let item = queue(&host, &token).await;
    assert!(item["stoppedAt"].is_null());
    assert_eq!(item["ageSeconds"], 0, "the time in between does not count");
}

/// KYC-01: only people under review are asked, and not during the lease of another; a denial ends
/// what was asked for.
#[tokio::test]
async fn kyc_01_only_people_under_review_are_asked() {
    let host = host().await;
    let [token, other] = [
        host.add_administrator(AdminRole::Reviewer).await.access_token,
        host.add_administrator(AdminRole::Reviewer).await.access_token,
    ];
    let passport = || json!([{ "type": "PASSPORT" }]);
    for status in AccountStatus::ALL {
        let id = host.add_person(&format!("{status}@gxtest.com").to_lowercase(), status).await;
        let answer = ask(&host, &token, &id, passport()).await;
        match status {
            AccountStatus::PendingAdminApproval => assert_eq!(answer.code(), 200),
            _ => assert_eq!(answer.problem(), "not_under_review", "{status}"),
        }
    }
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let claim = format!("/api/v1/admin/users/{id}/claim");
    assert_eq!(host.post(&claim, &other, &json!({})).await.code(), 200);
    let refused = ask(&host, &token, &id, passport()).await;
    assert_eq!((refused.code(), refused.problem()), (409, "claimed_by_other"));
    assert!(open(&host, &id).await.is_empty());
    assert_eq!(ask(&host, &other, &id, passport()).await.code(), 200);
    let denial = json!({ "reasonCode": "UNREADABLE", "finality": "RETRY" });
    let deny = format!("/api/v1/admin/users/{id}/deny");
    assert_eq!(host.post(&deny, &other, &denial).await.code(), 200);
    assert!(open(&host, &id).await.is_empty());
    assert_eq!(ask(&host, &token, "nobody", passport()).await.problem(), "no_user");
}

#[tokio::test]
async fn a_request_names_documents_that_there_are() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Reviewer).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    for wrong in [
        json!([]),
        json!("PASSPORT"),
        json!(["PASSPORT"]),
        json!([{ "side": "front" }]),
        json!([{ "type": "DIPLOMA" }]),
        json!([{ "type": "PASSPORT", "side": "left" }]),
        json!([{ "type": "SELFIE_PHOTO", "side": "front" }]),
        json!([{ "type": "PASSPORT", "number": "A1" }]),
        json!(vec![json!({ "type": "PASSPORT" }); 11]),
    ] {
        let answer = ask(&host, &token, &id, wrong.clone()).await;
        assert_eq!((answer.code(), answer.pointers()), (400, vec!["/documents"]), "{wrong}");
    }
    let path = format!("/api/v1/admin/users/{id}/ask-again");
    let blank = json!({ "documents": [{ "type": "PASSPORT" }], "publicComment": " " });
    assert_eq!(host.post(&path, &token, &blank).await.pointers(), ["/publicComment"]);
    assert!(open(&host, &id).await.is_empty());
}
