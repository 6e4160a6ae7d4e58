//! When a person may change documents.

use gx_auth::AdminRole;
use gx_documents::testing::{Form, form, passport_form, png, selfie_form};
use gx_documents::{DocumentSide, DocumentType, requests};
use gx_model::{AccountStatus, DenialFinality};
use serde_json::{Value, json};

use super::{DOCUMENTS, World, download, path, picture};

fn card(side: &str) -> Form {
    let fields = [("type", "NATIONAL_ID"), ("side", side)];
    form(&fields, "card.png", "image/png", &png(60, 40))
}

/// KYC-01: documents change until the account is submitted, and never after a decision. A person
/// who was denied with a retry may change them again.
#[tokio::test]
async fn kyc_01_documents_change_before_a_submission_only() {
    use AccountStatus::{
        Active, ApprovedPendingOnchain, Denied, Frozen, PendingAdminApproval, Registered,
    };
    let world = World::new(Registered).await;
    let id = world.add(passport_form()).await.text_at("/documentId").to_owned();
    for status in [PendingAdminApproval, ApprovedPendingOnchain, Active, Frozen] {
        world.set_status(status).await;
        for answer in [
            world.add(selfie_form()).await,
            world.replace(&id, passport_form()).await,
            world.remove(&id).await,
        ] {
            assert_eq!((answer.code(), answer.problem()), (409, "documents_closed"), "{status}");
        }
        assert_eq!(world.get(&path(&id)).await.code(), 200);
    }
    let denied = World::new(Registered).await;
    let id = denied.add(passport_form()).await.text_at("/documentId").to_owned();
    denied.set_status(PendingAdminApproval).await;
    denied.set_status(Denied).await;
    denied.host.set_denial(&denied.id, DenialFinality::Retry).await;
    assert_eq!(denied.add(selfie_form()).await.code(), 201);
    assert_eq!(denied.replace(&id, passport_form()).await.code(), 200);
}

/// KYC-05: under review only what the reviewers ask for again may change, and the clock of the
/// review goes on once all of it is there.
#[tokio::test]
async fn kyc_05_only_what_is_asked_for_again_may_change_under_review() {
    let world = World::new(AccountStatus::Registered).await;
    crate::tests::hand_in(&world.host, &world.token).await;
    let list = world.get(DOCUMENTS).await;
    let items = list.json["items"].as_array().unwrap();
    let passport = items.iter().find(|item| item["type"] == "PASSPORT").unwrap();
    let passport = passport["documentId"].as_str().unwrap().to_owned();
    let submitted = world.host.post("/api/v1/users/me/kyc/submit", &world.token, &json!({})).await;
    assert_eq!(submitted.code(), 200, "{}", submitted.text);

    world.host.add_administrator(AdminRole::Reviewer).await;
    let mut conn = world.host.base.connection().await.unwrap();
    let admin: String = sqlx::query_scalar(r#"SELECT "adminId" FROM "AdminUser""#)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    let (person, now) = (world.id.clone().into(), world.host.clock.now());
    assert!(gx_auth::review_clock::stop(&mut conn, &person, now).await.unwrap());
    let back = (DocumentType::NationalId, Some(DocumentSide::Back));
    for wanted in [(DocumentType::Passport, None), back] {
        requests::ask(&mut conn, &person, wanted, (admin.as_str(), "too dark"), now).await.unwrap();
    }
    let review = world.get("/api/v1/users/me/kyc").await;
    let asked = |kind: &str, side: Value| {
        json!({ "type": kind, "side": side, "publicComment": "too dark",
                "askedAt": "2026-03-01T12:00:00.123Z" })
    };
    let (back, any) = (asked("NATIONAL_ID", json!("back")), asked("PASSPORT", Value::Null));
    assert_eq!(review.json["askedAgain"], json!([back, any]));

    for refused in [world.add(selfie_form()).await, world.add(card("front")).await] {
        assert_eq!((refused.code(), refused.problem()), (409, "documents_closed"));
    }
    let is_stopped = async || -> bool {
        sqlx::query_scalar(r#"SELECT "reviewStoppedAt" IS NOT NULL FROM "UserProfile""#)
            .fetch_one(world.host.database.pool())
            .await
            .unwrap()
    };
    assert_eq!(world.replace(&passport, passport_form()).await.code(), 200);
    assert!(is_stopped().await);
    let again = world.add(passport_form()).await;
    assert_eq!(again.problem(), "documents_closed", "it is there");
    assert_eq!(world.add(card("back")).await.code(), 201);
    assert!(!is_stopped().await);
    assert_eq!(world.get("/api/v1/users/me/kyc").await.json.get("askedAgain"), None);
}

/// KYC-01: a replacement takes the place of a document of the same type and side. The old id is
/// gone, and the audit log names both.
#[tokio::test]
async fn kyc_01_a_replacement_takes_the_place_of_a_document() {
    let world = World::new(AccountStatus::Registered).await;
    let old = world.add(passport_form()).await.text_at("/documentId").to_owned();
    let other = world.replace(&old, selfie_form()).await;
    assert_eq!((other.code(), other.pointers()), (400, vec!["/type"]));
    let side = [("type", "PASSPORT"), ("side", "back")];
    let side = world.replace(&old, form(&side, "p.png", "image/png", &png(60, 40))).await;
    assert_eq!((side.code(), side.pointers()), (400, vec!["/side"]));

    let content = png(90, 60);
    let new = world.replace(&old, picture("PASSPORT", "new.png", &content)).await;
    assert_eq!(new.code(), 200, "{}", new.text);
    let id = new.text_at("/documentId");
    assert_ne!(id, old);
    assert_eq!(world.get(&path(&old)).await.code(), 404);
    assert!(download(&world, id).await.1 == content);
    assert_eq!(world.count().await, 1);
    world.wait_until_clean().await;
    let after: Value = sqlx::query_scalar(
        r#"SELECT after FROM "AuditEntry" WHERE action = 'user.document_replaced'"#,
    )
    .fetch_one(world.host.database.pool())
    .await
    .unwrap();
    let expected = json!({ "documentId": id, "type": "PASSPORT", "side": null,
                           "status": "STORED", "size": content.len() });
    assert_eq!(after, expected);

    assert_eq!(world.remove(id).await.code(), 204);
    assert_eq!(world.remove(id).await.problem(), "no_document");
    assert_eq!(world.get(DOCUMENTS).await.json["items"], json!([]));
    let expected = ["added", "replaced", "opened", "removed"];
    assert_eq!(world.audited().await, expected.map(|action| format!("user.document_{action}")));
}

/// PRIV-01: while an account is on legal hold its person removes no document, by no way, and may
/// still add one.
#[tokio::test]
async fn priv_01_a_legal_hold_keeps_documents() {
    let world = World::new(AccountStatus::Registered).await;
    let id = world.add(passport_form()).await.text_at("/documentId").to_owned();
    world.set_hold(true).await;
    for refused in [world.replace(&id, passport_form()).await, world.remove(&id).await] {
        assert_eq!((refused.code(), refused.problem()), (409, "documents_closed"));
    }
    assert_eq!(world.add(selfie_form()).await.code(), 201);
    assert_eq!(world.count().await, 2);
    world.set_hold(false).await;
    assert_eq!(world.remove(&id).await.code(), 204);
}
