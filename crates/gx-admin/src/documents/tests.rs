//! Documents of people, through the router. Nothing is drawn here: the image of a page is what the
//! drawing process was asked, with the watermark, and the file.

use std::time::Duration;

use gx_auth::testing::{Answer, TestHost, all};
use gx_auth::{AdminRole, Audience, TokenUse};
use gx_db::ProfileId;
use gx_documents::testing::{claim, documents_in, echo_program, hand_in, jpeg, png};
use gx_documents::{DocumentSide, DocumentType, Documents, RenderProgram};
use gx_model::AccountStatus;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tests::settings;
use crate::{AdminSettings, FourEyesAct, ReviewSettings, service};

/// svc-admin with documents in a folder.
struct World {
    host: TestHost,
    documents: Documents,
    _folder: TempDir,
}

struct Staff {
    token: String,
    id: String,
}

impl World {
    async fn new() -> Self {
        Self::with(&settings(), echo_program()).await
    }

    async fn with(settings: &AdminSettings, program: RenderProgram) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut documents = None;
        let host = TestHost::new(|base| {
            let ring = base.key_ring.clone();
            let own = documents_in(folder.path(), ring, &base.clock, &base.entropy, program);
            documents = Some(own.clone());
            service(settings, base, own)
        })
        .await;
        Self { host, documents: documents.unwrap(), _folder: folder }
    }

    async fn staff(&self, role: AdminRole) -> Staff {
        let token = self.host.add_administrator(role).await.access_token;
        let tokens = self.host.base.auth.sessions.tokens();
        let id = tokens.verify(&token, TokenUse::Access, Audience::Admin).unwrap().sub;
        Staff { token, id }
    }

    async fn person(&self, name: &str) -> String {
        let email = format!("{name}@gxtest.com");
        self.host.add_person(&email, AccountStatus::PendingAdminApproval).await
    }

    /// Hands in a small image, and returns the id of the document.
    async fn hand_in(&self, person: &str, kind: DocumentType, number: &str) -> String {
        let (profile_id, claim) = (ProfileId::from(person.to_owned()), claim(kind, None, number));
        let file = match kind {
            DocumentType::SelfiePhoto => png(40, 60),
            _ => jpeg(64, 48),
        };
        let pool = self.host.database.pool();
        hand_in(&self.documents, pool, &profile_id, claim, &file).await.document_id
    }

    /// Adds a passport that waits for the scanner.
    async fn add_held(&self, person: &str, document: &str, is_infected: bool) {
        sqlx::query(
            r#"INSERT INTO "KYCDocument" ("documentId", "profileId", type, status, "storageKey",
                   sha256, size, "mimeType", "uploadedAt", "isInfected")
               VALUES ($1, $2, 'PASSPORT', CASE WHEN $3 THEN 'REJECTED' ELSE 'QUARANTINED' END, $1,
                   repeat('0a', 32), 1, 'image/png', now(), $3)"#,
        )
        .bind(document)
        .bind(person)
        .bind(is_infected)
        .execute(self.host.database.pool())
        .await
        .unwrap();
    }

    async fn page(&self, by: &Staff, person: &str, document: &str, rest: &str) -> Answer {
        let path = format!("/api/v1/admin/users/{person}/documents/{document}/pages/{rest}");
        self.host.get(&path, &by.token).await
    }

    async fn post(&self, by: &Staff, path: &str, body: &Value) -> Answer {
        self.host.post(&format!("/api/v1/admin/{path}"), &by.token, body).await
    }

    async fn decide(&self, by: &Staff, person: &str, document: &str, decision: &str) -> Answer {
        let path = format!("users/{person}/documents/{document}/decision");
        let body = json!({ "decision": decision, "reasonCode": "UNREADABLE",
                           "publicComment": "too dark" });
        self.post(by, &path, &body).await
    }

    async fn list(&self, by: &Staff, person: &str) -> Vec<Value> {
        let path = format!("/api/v1/admin/users/{person}/documents");
        let answer = self.host.get(&path, &by.token).await;
        let items = answer.json["items"].as_array();
        items.unwrap_or_else(|| panic!("{}", answer.text)).clone()
    }

    async fn run(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.host.database.pool()).await.unwrap();
    }

    /// Returns action, actor and values of all entries of the audit log.
    async fn entries(&self) -> Vec<(String, String, Value)> {
        sqlx::query_as(r#"SELECT action, "actorId", after FROM "AuditEntry" ORDER BY seq"#)
            .fetch_all(self.host.database.pool())
            .await
            .unwrap()
    }
}

/// FILE-06: each page that is shown is an entry with reviewer, purpose and case, and the pixels
/// carry the same; without a purpose there is no page, and a request that shows nothing leaves no
/// entry.
#[tokio::test]
async fn file_06_each_page_that_is_shown_is_an_entry_of_the_audit_log() {
    let world = World::new().await;
    let reviewer = world.staff(AdminRole::Reviewer).await;
    let sarah = world.person("sarah").await;
    let passport = world.hand_in(&sarah, DocumentType::Passport, "A1").await;
    for number in ["1", "0", "x", "4294967296"] {
        let without = world.page(&reviewer, &sarah, &passport, number).await;
        assert_ne!(without.code(), 200, "{number}");
    }
    for wrong in ["1", "1?purpose=", "1?purpose=curiosity"] {
        let answer = world.page(&reviewer, &sarah, &passport, wrong).await;
        assert_eq!((answer.code(), answer.pointers()), (400, vec!["/purpose"]), "{wrong}");
    }
    let number = world.page(&reviewer, &sarah, &passport, "0?purpose=KYC_REVIEW").await;
    assert_eq!((number.code(), number.problem()), (404, "no_page"));
    let other = world.person("other").await;
    for (person, document) in
        [(&other, passport.as_str()), (&sarah, "nothing"), (&sarah, "no%20id")]
    {
        let answer = world.page(&reviewer, person, document, "1?purpose=KYC_REVIEW").await;
        assert_eq!((answer.code(), answer.problem()), (404, "no_document"), "{document}");
    }
    assert!(world.entries().await.is_empty());

    let shown = world.page(&reviewer, &sarah, &passport, "1?purpose=KYC_REVIEW").await;
    assert_eq!(shown.code(), 200, "{}", shown.text);
    assert_eq!(shown.field("content-type"), "image/jpeg");
    assert_eq!(shown.field("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(shown.field("x-content-type-options"), "nosniff");
    assert_eq!(shown.field("cache-control"), "no-store");
    let viewer = format!("{}@gxtest.com", reviewer.id);
    for text in [viewer.as_str(), sarah.as_str(), "2026-03-01 12:00 UTC"] {
        assert!(shown.text.contains(text), "the watermark has {text}");
    }
    sqlx::query(
        r#"INSERT INTO "KYCVerification" ("verificationId", "profileId", submission, "submittedAt")
           VALUES ('case-7', $1, 1, now())"#,
    )
    .bind(&sarah)
    .execute(world.host.database.pool())
    .await
    .unwrap();
    let again = world.page(&reviewer, &sarah, &passport, "1?purpose=COURT_ORDER").await;
    assert!(again.text.contains("case-7"), "the watermark has the case");
    let entry = |purpose: &str, case: &str| {
        let after = json!({ "documentId": passport, "page": 1, "purpose": purpose, "case": case });
        ("document.page_shown".to_owned(), reviewer.id.clone(), after)
    };
    let expected = [entry("KYC_REVIEW", &sarah), entry("COURT_ORDER", "case-7")];
    assert_eq!(world.entries().await, expected);
}

/// FILE-05: nobody opens a document before its scan, nor an infected one, and nobody decides on it.
#[tokio::test]
async fn file_05_nobody_opens_a_held_document() {
    let world = World::new().await;
    let reviewer = world.staff(AdminRole::SuperAdmin).await;
    let sarah = world.person("sarah").await;
    world.add_held(&sarah, "waiting", false).await;
    world.add_held(&sarah, "infected", true).await;
    for document in ["waiting", "infected"] {
        let answer = world.page(&reviewer, &sarah, document, "1?purpose=KYC_REVIEW").await;
        assert_eq!((answer.code(), answer.problem()), (409, "document_held"), "{document}");
        let answer = world.decide(&reviewer, &sarah, document, "ACCEPTED").await;
        assert_eq!((answer.code(), answer.problem()), (409, "document_held"), "{document}");
    }
    assert!(world.entries().await.is_empty());
}

/// G10, PRIV-01: a page of an erased document is gone, and unknown once its row is gone, too; the
/// list shows that there was a document and nothing of its content.
#[tokio::test]
async fn g10_a_page_of_an_erased_document_is_gone() {
    let world = World::new().await;
    let reviewer = world.staff(AdminRole::Reviewer).await;
    let sarah = world.person("sarah").await;
    let passport = world.hand_in(&sarah, DocumentType::Passport, "A1").await;
    let show = async || world.page(&reviewer, &sarah, &passport, "1?purpose=KYC_REVIEW").await;
    assert_eq!(show().await.code(), 200);
    let pool = world.host.database.pool();
    world.documents.erase(pool, &ProfileId::from(sarah.clone()), "REQUESTED").await.unwrap();
    let answer = show().await;
    assert_eq!((answer.code(), answer.problem()), (410, "document_erased"));
    let decided = world.decide(&reviewer, &sarah, &passport, "ACCEPTED").await;
    assert!([409, 410].contains(&decided.code()), "{}", decided.json);
    let item = &world.list(&reviewer, &sarah).await[0];
    assert!(item["erasedAt"].is_string() && item["facts"].is_null(), "{item}");
    let duplicates = format!("/api/v1/admin/users/{sarah}/documents/duplicates");
    let duplicates = world.host.get(&duplicates, &reviewer.token).await;
    assert_eq!(duplicates.json, json!({ "items": [], "nextCursor": null }));
    world.run(r#"DELETE FROM "KYCDocument""#).await;
    assert_eq!(show().await.problem(), "no_document");
}

/// FILE-03: a file that the drawing process cannot draw is no page, and the request is answered.
#[tokio::test]
async fn file_03_a_page_that_cannot_be_drawn_is_a_problem() {
    let program = RenderProgram { program: "/bin/false".into(), arguments: Vec::new() };
    let world = World::with(&settings(), program).await;
    let reviewer = world.staff(AdminRole::Reviewer).await;
    let sarah = world.person("sarah").await;
    let passport = world.hand_in(&sarah, DocumentType::Passport, "A1").await;
    let answer = world.page(&reviewer, &sarah, &passport, "1?purpose=KYC_REVIEW").await;
    assert_eq!((answer.code(), answer.problem()), (422, "page_not_drawn"));
    assert!(world.entries().await.is_empty());
}

/// KYC-01, KYC-02: a document is decided once, by a reviewer who may decide on the person; a
/// rejection needs a reason code, and is stored with the comment for the person.
#[tokio::test]
async fn kyc_01_a_document_is_decided_once() {
    let world = World::new().await;
    let [one, other] =
        [world.staff(AdminRole::Reviewer).await, world.staff(AdminRole::Admin).await];
    let sarah = world.person("sarah").await;
    let passport = world.hand_in(&sarah, DocumentType::Passport, "A1").await;
    let selfie = world.hand_in(&sarah, DocumentType::SelfiePhoto, "").await;
    let path = format!("users/{sarah}/documents/{passport}/decision");
    let wrong = world.post(&one, &path, &json!({ "decision": "REJECTED" })).await;
    assert_eq!((wrong.code(), wrong.pointers()), (400, vec!["/reasonCode"]));
    let wrong = world.post(&one, &path, &json!({ "decision": "STORED" })).await;
    assert_eq!((wrong.code(), wrong.pointers()), (400, vec!["/decision"]));
    let claimed = world.post(&other, &format!("users/{sarah}/claim"), &json!({})).await;
    assert_eq!(claimed.code(), 200);
    let refused = world.decide(&one, &sarah, &passport, "ACCEPTED").await;
    assert_eq!((refused.code(), refused.problem()), (409, "claimed_by_other"));
    assert_eq!(world.post(&other, &format!("users/{sarah}/release"), &json!({})).await.code(), 200);

    let both = all([("ACCEPTED", &one), ("REJECTED", &other)]
        .map(|(decision, by)| world.decide(by, &sarah, &selfie, decision)))
    .await;
    let mut codes: Vec<u16> = both.iter().map(Answer::code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [200, 409]);
    let lost = both.iter().find(|answer| answer.code() == 409).unwrap();
    assert_eq!(lost.problem(), "document_decided");

    let decided = world.decide(&one, &sarah, &passport, "REJECTED").await;
    assert_eq!(decided.json, json!({ "documentId": passport, "status": "REJECTED" }));
    let again = world.decide(&one, &sarah, &passport, "ACCEPTED").await;
    assert_eq!((again.code(), again.problem()), (409, "document_decided"));
    let items = world.list(&one, &sarah).await;
    let item = items.iter().find(|item| item["documentId"] == passport).unwrap();
    assert_eq!(
        (&item["reasonCode"], &item["publicComment"]),
        (&json!("UNREADABLE"), &json!("too dark"))
    );
    assert_eq!(item["reviewedBy"], one.id);
    let (action, by, after) = world.entries().await.pop().unwrap();
    assert_eq!((action.as_str(), by), ("document.decided", one.id.clone()));
    let expected = json!({ "documentId": passport, "type": "PASSPORT",
                           "documentStatus": "REJECTED", "reasonCode": "UNREADABLE" });
    assert_eq!(after, expected, "and no text about the person");

    let active = world.host.add_person("active@gxtest.com", AccountStatus::Active).await;
    let passport = world.hand_in(&active, DocumentType::Passport, "A2").await;
    let refused = world.decide(&one, &active, &passport, "ACCEPTED").await;
    assert_eq!((refused.code(), refused.problem()), (409, "not_under_review"));
    assert_eq!(world.decide(&one, "nobody", &passport, "ACCEPTED").await.problem(), "no_user");
    assert_eq!(world.decide(&one, &sarah, "nothing", "ACCEPTED").await.problem(), "no_document");
}

/// KYC-04: an approval needs no decision on each document: it accepts those that wait, in its own
/// transaction, and a rejected one that is not required stays as it is.
#[tokio::test]
async fn kyc_04_an_approval_accepts_the_documents_that_wait() {
    let world = World::new().await;
    let reviewer = world.staff(AdminRole::Reviewer).await;
    let sarah = world.person("sarah").await;
    let passport = world.hand_in(&sarah, DocumentType::Passport, "A1").await;
    let selfie = world.hand_in(&sarah, DocumentType::SelfiePhoto, "").await;
    let address = world.hand_in(&sarah, DocumentType::ProofOfAddress, "").await;
    assert_eq!(world.decide(&reviewer, &sarah, &address, "REJECTED").await.code(), 200);
    let approved = world.post(&reviewer, &format!("users/{sarah}/approve"), &json!({})).await;
    assert_eq!(approved.code(), 200, "{}", approved.text);
    let statuses: Vec<(String, String)> =
        sqlx::query_as(r#"SELECT type, status FROM "KYCDocument" ORDER BY type"#)
            .fetch_all(world.host.database.pool())
            .await
            .unwrap();
    let expected =
        [("PASSPORT", "ACCEPTED"), ("PROOF_OF_ADDRESS", "REJECTED"), ("SELFIE_PHOTO", "ACCEPTED")];
    assert_eq!(statuses, expected.map(|(kind, status)| (kind.to_owned(), status.to_owned())));
    let (action, _, after) = world.entries().await.pop().unwrap();
    assert_eq!(action, "user.approved");
    let mut accepted: Vec<&str> =
        after["acceptedDocuments"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    accepted.sort_unstable();
    let mut expected = [passport.as_str(), selfie.as_str()];
    expected.sort_unstable();
    assert_eq!(accepted, expected);
}

/// KYC-01, KYC-03: while a required document is quarantined or rejected nobody is approved: not
/// alone, not in a batch, and not by a proposal or its confirmation. Nothing is written.
#[tokio::test]
async fn kyc_01_a_required_document_that_cannot_be_relied_on_stops_every_approval() {
    let review = ReviewSettings { four_eyes: vec![FourEyesAct::Approval], ..Default::default() };
    let four_eyes = AdminSettings { review, ..settings() };
    for settings in [settings(), four_eyes] {
        let world = World::with(&settings, echo_program()).await;
        let is_proposed = !settings.review.four_eyes.is_empty();
        let [one, other] =
            [world.staff(AdminRole::Reviewer).await, world.staff(AdminRole::Reviewer).await];
        let (held, rejected) = (world.person("held").await, world.person("rejected").await);
        world.add_held(&held, "waiting", false).await;
        let passport = world.hand_in(&rejected, DocumentType::Passport, "A1").await;
        let approve = async |by: &Staff, id: &str| {
            world.post(by, &format!("users/{id}/approve"), &json!({})).await
        };
        let proposed = match is_proposed {
            true => Some(approve(&one, &rejected).await.text_at("/proposalId").to_owned()),
            false => None,
        };
        assert_eq!(world.decide(&one, &rejected, &passport, "REJECTED").await.code(), 200);
        let before = world.host.rows().await;
        for (id, pointer) in [(&held, "waiting"), (&rejected, passport.as_str())] {
            let pointer = format!("/documents/{pointer}");
            let answer = approve(&one, id).await;
            assert_eq!((answer.code(), answer.problem()), (409, "documents_not_usable"));
            assert_eq!(answer.pointers(), [pointer.as_str()]);
            let batch = json!({ "profileIds": [id] });
            let answer = world.post(&one, "users/batch-approve", &batch).await;
            let refused = &answer.json["results"][0]["refused"];
            assert_eq!(refused["code"], "documents_not_usable", "{}", answer.text);
            assert_eq!(refused["missing"], json!([pointer]));
        }
        if let Some(proposal) = proposed {
            let path = format!("proposals/{proposal}/confirm");
            let answer = world.post(&other, &path, &json!({})).await;
            assert_eq!((answer.code(), answer.problem()), (409, "documents_not_usable"));
        }
        assert_eq!(world.host.rows().await, before);

        // Another document takes its place.
        world.hand_in(&rejected, DocumentType::Passport, "A2").await;
        let expected = if is_proposed { 202 } else { 200 };
        assert_eq!(approve(&one, &rejected).await.code(), expected);
    }
}

/// A document that was asked for again and is missing stops an approval, although nothing of the
/// person is rejected.
#[tokio::test]
async fn a_document_that_was_asked_for_again_and_deleted_stops_an_approval() {
    let world = World::new().await;
    let reviewer = world.staff(AdminRole::Reviewer).await;
    let sarah = world.person("sarah").await;
    world.hand_in(&sarah, DocumentType::Passport, "A1").await;
    world.hand_in(&sarah, DocumentType::SelfiePhoto, "").await;
    let body = json!({ "documents": [{ "type": "PASSPORT" }], "publicComment": "too dark" });
    let asked = world.post(&reviewer, &format!("users/{sarah}/ask-again"), &body).await;
    assert_eq!(asked.code(), 200, "{}", asked.text);
    world.run(r#"DELETE FROM "KYCDocument" WHERE type = 'PASSPORT'"#).await;
    let approve = format!("users/{sarah}/approve");
    let refused = world.post(&reviewer, &approve, &json!({})).await;
    assert_eq!((refused.code(), refused.problem()), (409, "documents_not_usable"));
    assert_eq!(refused.pointers(), ["/documents/PASSPORT|NATIONAL_ID|DRIVERS_LICENSE"]);
    // The reviewer may change their mind about a document that is still there.
    world.hand_in(&sarah, DocumentType::Passport, "A2").await;
    assert_eq!(world.post(&reviewer, &approve, &json!({})).await.code(), 200);
    let left: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "DocumentRequest""#)
        .fetch_one(world.host.database.pool())
        .await
        .unwrap();
    assert_eq!(left, 0, "a decision ends the requests");
}

/// The same file or number under other people is found, also if the number is written differently;
/// the person's own documents and those of erased people are not.
#[tokio::test]
async fn the_same_file_or_number_under_other_people_is_found() {
    let world = World::new().await;
    let reviewer = world.staff(AdminRole::Auditor).await;
    let [sarah, ben, cem] =
        [world.person("sarah").await, world.person("ben").await, world.person("cem").await];
    let own = world.hand_in(&sarah, DocumentType::Passport, "A 123-456").await;
    world.hand_in(&sarah, DocumentType::NationalId, "A123456").await;
    let of_ben = world.hand_in(&ben, DocumentType::Passport, "a123456").await;
    let of_cem = world.hand_in(&cem, DocumentType::SelfiePhoto, "A123456").await;
    let path = format!("/api/v1/admin/users/{sarah}/documents/duplicates");
    let found =
        async |query: &str| world.host.get(&format!("{path}{query}"), &reviewer.token).await;
    let answer = found("").await;
    let items = answer.json["items"].as_array().unwrap();
    let of_passport: Vec<_> = items.iter().filter(|item| item["documentId"] == own).collect();
    assert_eq!((items.len(), of_passport.len()), (4, 2), "{}", answer.text);
    for item in of_passport {
        let (other, is_same_file) = match item["otherProfileId"] == ben {
            true => (&of_ben, true),
            false => (&of_cem, false),
        };
        assert_eq!(item["otherDocumentId"], other.as_str());
        assert_eq!(
            (&item["isSameFile"], &item["isSameNumber"]),
            (&json!(is_same_file), &json!(true))
        );
    }
    let first = found("?limit=3").await;
    let rest = found(&format!("?cursor={}", first.text_at("/nextCursor"))).await;
    assert_eq!(rest.json["items"].as_array().unwrap().len(), 1);
    assert!(rest.has_null_at("/nextCursor"));
    let pool = world.host.database.pool();
    world.documents.erase(pool, &ProfileId::from(ben), "REQUESTED").await.unwrap();
    assert_eq!(found("").await.json["items"].as_array().unwrap().len(), 2);
    let nobody = "/api/v1/admin/users/nobody/documents/duplicates";
    assert_eq!(world.host.get(nobody, &reviewer.token).await.problem(), "no_user");
}

/// A list shows documents in the order of their upload, page by page; who opens no document sees
/// neither number nor name of the file.
#[tokio::test]
async fn a_list_of_documents_hides_the_facts_from_an_auditor() {
    let world = World::new().await;
    let [reviewer, auditor] =
        [world.staff(AdminRole::Reviewer).await, world.staff(AdminRole::Auditor).await];
    let sarah = world.person("sarah").await;
    let passport = world.hand_in(&sarah, DocumentType::Passport, "A1").await;
    world.host.clock.advance(Duration::from_secs(1));
    let profile_id = ProfileId::from(sarah.clone());
    let card = claim(DocumentType::NationalId, Some(DocumentSide::Back), "B2");
    let pool = world.host.database.pool();
    let card = hand_in(&world.documents, pool, &profile_id, card, &png(40, 60)).await;
    let items = world.list(&reviewer, &sarah).await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["documentId"], passport);
    let facts = &items[0]["facts"];
    assert_eq!((&facts["documentNumber"], &facts["fileName"]), (&json!("A1"), &json!("scan")));
    assert_eq!((&items[1]["type"], &items[1]["side"]), (&json!("NATIONAL_ID"), &json!("back")));
    assert!(world.list(&auditor, &sarah).await.iter().all(|item| item["facts"].is_null()));
    let opened = world.page(&auditor, &sarah, &passport, "1?purpose=KYC_REVIEW").await;
    assert_eq!(opened.problem(), "forbidden");

    let path = format!("/api/v1/admin/users/{sarah}/documents");
    let first = world.host.get(&format!("{path}?limit=1"), &reviewer.token).await;
    let next = format!("{path}?limit=1&cursor={}", first.text_at("/nextCursor"));
    let second = world.host.get(&next, &reviewer.token).await;
    assert_eq!(second.text_at("/items/0/documentId"), card.document_id);
    assert!(second.has_null_at("/nextCursor"));
    let nobody = world.host.get("/api/v1/admin/users/nobody/documents", &reviewer.token).await;
    assert_eq!((nobody.code(), nobody.problem()), (404, "no_user"));
}
