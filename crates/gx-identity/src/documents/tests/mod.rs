//! Documents that a person hands in, through the router.

mod changes;

use axum::body::{Body, to_bytes};
use gx_auth::testing::{Answer, TestHost};
use gx_documents::testing::{
    Form, ManyPixels, documents_of, form, held_documents_of, passport, passport_form, png,
    png_promising, selfie_form,
};
use gx_documents::{Documents, repository};
use gx_model::AccountStatus;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

use crate::IdentitySettings;
use crate::tests::send_form;

const DOCUMENTS: &str = "/api/v1/users/me/kyc/documents";

/// A service, its documents, and a person.
struct World {
    host: TestHost,
    documents: Documents,
    id: String,
    token: String,
}

impl World {
    async fn new(status: AccountStatus) -> Self {
        Self::with(&IdentitySettings::default(), status, documents_of).await
    }

    async fn with(
        settings: &IdentitySettings,
        status: AccountStatus,
        build: impl FnOnce(&gx_auth::Foundation) -> Documents,
    ) -> Self {
        let mut documents = None;
        let host = TestHost::new(|base| {
            let built = documents.insert(build(&base)).clone();
            crate::service(settings, base, built)
        })
        .await;
        let id = host.add_person("sarah@gxtest.com", status).await;
        let token = host.session_of(&id).await.access_token;
        Self { host, documents: documents.unwrap(), id, token }
    }

    async fn add(&self, form: Form) -> Answer {
        send_form(&self.host, "POST", DOCUMENTS, &self.token, form).await
    }

    async fn replace(&self, id: &str, form: Form) -> Answer {
        send_form(&self.host, "PUT", &path(id), &self.token, form).await
    }

    async fn remove(&self, id: &str) -> Answer {
        self.host.ask("DELETE", &path(id)).token(&self.token).send().await
    }

    async fn get(&self, path: &str) -> Answer {
        self.host.get(path, &self.token).await
    }

    async fn set_status(&self, status: AccountStatus) {
        sqlx::query(
            r#"UPDATE "UserProfile" SET status = $2, "updatedAt" = now() WHERE "profileId" = $1"#,
        )
        .bind(&self.id)
        .bind(status.name())
        .execute(self.host.database.pool())
        .await
        .unwrap();
    }

    /// Begins or ends a legal hold.
    async fn set_hold(&self, is_on_hold: bool) {
        sqlx::query(
            r#"UPDATE "UserProfile" SET "legalHoldAt" = CASE WHEN $2 THEN now() END,
                   "legalHoldBy" = CASE WHEN $2 THEN 'admin' END
               WHERE "profileId" = $1"#,
        )
        .bind(&self.id)
        .bind(is_on_hold)
        .execute(self.host.database.pool())
        .await
        .unwrap();
    }

    /// Returns the actions of the audit log.
    async fn audited(&self) -> Vec<String> {
        sqlx::query_scalar(r#"SELECT action FROM "AuditEntry" ORDER BY seq"#)
            .fetch_all(self.host.database.pool())
            .await
            .unwrap()
    }

    /// Waits until no file is left that has no document.
    async fn wait_until_clean(&self) {
        let clean = async {
            loop {
                self.documents.sweep(self.host.database.pool()).await.unwrap();
                let announced: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "DocumentObject""#)
                    .fetch_one(self.host.database.pool())
                    .await
                    .unwrap();
                if announced == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(120), clean).await.unwrap();
    }

    async fn count(&self) -> i64 {
        sqlx::query_scalar(r#"SELECT count(*) FROM "KYCDocument""#)
            .fetch_one(self.host.database.pool())
            .await
            .unwrap()
    }
}

fn path(id: &str) -> String {
    format!("{DOCUMENTS}/{id}")
}

fn picture(kind: &str, name: &str, content: &[u8]) -> Form {
    form(&[("type", kind)], name, "image/png", content)
}

/// API-13, CRY-01: the server stores, encrypts and hashes a document. Its person reads what it is,
/// and gets its content back as it was; the database has neither its hash nor its number.
#[tokio::test]
async fn api_13_a_document_is_stored_and_comes_back() {
    let world = World::new(AccountStatus::Registered).await;
    let content = passport();
    let fields = [
        ("type", "PASSPORT"),
        ("side", "front"),
        ("documentNumber", "A 123-456"),
        ("issuingCountry", "my"),
        ("issuedDate", "2020-02-29"),
        ("expiryDate", "2030-02-28"),
    ];
    let added = world.add(form(&fields, "pass.jpg", "image/jpeg", &content)).await;
    assert_eq!(added.code(), 201, "{}", added.text);
    let id = added.text_at("/documentId");
    let sha256 = hex::encode(Sha256::digest(&content));
    let expected = json!({
        "documentId": id, "type": "PASSPORT", "side": "front", "status": "STORED",
        "sha256": sha256, "size": content.len(), "mimeType": "image/jpeg", "pageCount": 1,
        "uploadedAt": "2026-03-01T12:00:00.123Z",
    });
    assert_eq!(added.json, expected);
    assert_eq!(world.get(&path(id)).await.json, expected);
    let list = json!({ "items": [expected], "nextCursor": null });
    assert_eq!(world.get(DOCUMENTS).await.json, list);
    let review = world.get("/api/v1/users/me/kyc").await.json;
    assert_eq!(review, json!({ "status": "REGISTERED", "documents": list["items"] }));
    let row: Value = sqlx::query_scalar(r#"SELECT to_jsonb(d) FROM "KYCDocument" d"#)
        .fetch_one(world.host.database.pool())
        .await
        .unwrap();
    assert_eq!((&row["issuingCountry"], &row["expiryDate"]), (&json!("MY"), &json!("2030-02-28")));
    for secret in [sha256.as_str(), "123-456", "A123456", "pass.jpg"] {
        assert!(!row.to_string().contains(secret), "{secret}");
    }
    let (headers, body) = download(&world, id).await;
    assert!(body == content);
    assert_eq!(headers["content-type"], "image/jpeg");
    assert_eq!(world.audited().await, ["user.document_added", "user.document_opened"]);
}

/// Returns the answer with the content of a document.
async fn download(world: &World, id: &str) -> (http::HeaderMap, Vec<u8>) {
    let request = http::Request::get(format!("{}/content", path(id)))
        .header("authorization", format!("Bearer {}", world.token))
        .body(Body::empty())
        .unwrap();
    let answer = world.host.service.public(false).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let headers = answer.headers().clone();
    (headers, to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec())
}

/// FILE-04: a download has a harmless name and cannot be shown or run; it needs the token of the
/// session, and no page can include it.
#[tokio::test]
async fn file_04_a_download_is_sandboxed_and_bound_to_the_session() {
    let world = World::new(AccountStatus::Registered).await;
    let added = world.add(picture("PASSPORT", "../../Paß.png", &png(60, 40))).await;
    assert_eq!(added.code(), 201, "{}", added.text);
    let id = added.text_at("/documentId");
    let (headers, _) = download(&world, id).await;
    for (name, expected) in [
        ("content-disposition", "attachment; filename=\"Pa_.png\"; filename*=UTF-8''Pa%C3%9F.png"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(headers[name], expected, "{name}");
    }
    let content = format!("{}/content", path(id));
    assert_eq!(world.host.get(&content, "").await.code(), 401);
    let shown = world.host.ask("GET", &content).token(&world.token);
    let shown = shown.header("sec-fetch-dest", "image").send().await;
    assert_eq!((shown.code(), shown.problem()), (403, "forbidden"));
    let fetched = world.host.ask("GET", &content).token(&world.token);
    assert_eq!(fetched.header("sec-fetch-dest", "empty").send().await.code(), 200);
    assert_eq!(world.host.post("/api/v1/auth/logout", &world.token, &json!({})).await.code(), 204);
    assert_eq!(world.get(&content).await.code(), 401);
}

/// SEC-API-06: another person's document is like one that does not exist, whatever is asked of it.
#[tokio::test]
async fn sec_api_06_another_persons_document_does_not_exist() {
    let world = World::new(AccountStatus::Registered).await;
    let added = world.add(passport_form()).await;
    let id = added.text_at("/documentId").to_owned();
    let other = world.host.add_person("eve@gxtest.com", AccountStatus::Registered).await;
    let eve = world.host.session_of(&other).await.access_token;
    let content = format!("{}/content", path(&id));
    for (method, path) in [("GET", path(&id)), ("GET", content), ("DELETE", path(&id))] {
        let answer = world.host.ask(method, &path).token(&eve).send().await;
        assert_eq!((answer.code(), answer.problem()), (404, "no_document"), "{method} {path}");
    }
    let replaced = send_form(&world.host, "PUT", &path(&id), &eve, passport_form()).await;
    assert_eq!((replaced.code(), replaced.problem()), (404, "no_document"));
    for unknown in ["nobody", "a%20b", "%00"] {
        assert_eq!(world.get(&path(unknown)).await.problem(), "no_document", "{unknown}");
    }
    assert_eq!(world.get(&path(&id)).await.code(), 200);
}

/// FILE-01, FILE-02: a file that is refused is named by the reason and leaves nothing.
#[tokio::test]
async fn file_01_a_refused_file_leaves_nothing() {
    let world = World::new(AccountStatus::Registered).await;
    let bomb = png_promising(ManyPixels { width: 100_000, height: 100_000 });
    let html = b"<html><script>alert(1)</script></html>";
    let both = [png(60, 40), html.to_vec()].concat();
    for (form, codes) in [
        (picture("PASSPORT", "a.png", html), &["file_format_unknown"][..]),
        (picture("PASSPORT", "a.png", b""), &["file_empty"]),
        (picture("PASSPORT", "a.jpg", &png(60, 40)), &["file_format_mismatch"]),
        (picture("PASSPORT", "a.png", &passport()), &["file_format_mismatch"]),
        (picture("PASSPORT", "a.png", &both), &["file_polyglot", "file_malformed"]),
        (picture("PASSPORT", "a.png", &bomb), &["file_too_many_pixels"]),
    ] {
        let answer = world.add(form).await;
        assert_eq!((answer.code(), answer.problem()), (422, "document_refused"), "{codes:?}");
        assert_eq!(answer.pointers(), ["/file"]);
        let found = answer.text_at("/errors/0/code");
        assert!(codes.contains(&found), "{found} is none of {codes:?}");
    }
    let mut cut = passport_form();
    cut.body.truncate(cut.body.len() - 60);
    let answer = world.add(cut).await;
    assert_eq!((answer.code(), answer.problem()), (400, "bad_request"));
    world.wait_until_clean().await;
    assert_eq!(world.count().await, 0);
    assert!(world.audited().await.is_empty());
}

/// SEC-API-06: each field of the form is checked, and the sides that a document has.
#[tokio::test]
async fn the_fields_of_a_document_are_checked() {
    let world = World::new(AccountStatus::Registered).await;
    let dates = [("type", "PASSPORT"), ("issuedDate", "2026-01-02"), ("expiryDate", "2026-01-01")];
    for (fields, pointer, code) in [
        (&[("type", "VISA")][..], "/type", "format"),
        (&[("type", "NATIONAL_ID")], "/side", "required"),
        (&[("type", "SELFIE_PHOTO"), ("side", "front")], "/side", "format"),
        (&[("type", "PASSPORT"), ("side", "left")], "/side", "format"),
        (&[("type", "PASSPORT"), ("issuingCountry", "QQ")], "/issuingCountry", "unknown_country"),
        (&[("type", "PASSPORT"), ("documentNumber", "no digits")], "/documentNumber", "format"),
        (&[("type", "PASSPORT"), ("issuedDate", "2026-13-01")], "/issuedDate", "format"),
        (&[("type", "PASSPORT"), ("issuedDate", "2027-01-01")], "/issuedDate", "range"),
        (&dates, "/expiryDate", "range"),
        (&[("type", "PASSPORT"), ("status", "ACCEPTED")], "/status", "unknown"),
    ] {
        let answer = world.add(form(fields, "a.png", "image/png", &png(60, 40))).await;
        assert_eq!((answer.code(), answer.problem()), (400, "validation_failed"), "{fields:?}");
        assert_eq!(answer.pointers(), [pointer], "{fields:?}");
        assert_eq!(answer.text_at("/errors/0/code"), code);
    }
    let empty = [("type", "PASSPORT"), ("side", ""), ("documentNumber", "")];
    let answer = world.add(form(&empty, "a.png", "image/png", &png(60, 40))).await;
    assert_eq!(answer.code(), 201, "a form of a browser has all fields: {}", answer.text);
}

/// FILE-01: a person may hand in a number of documents and of bytes, also by requests at the same
/// time. A replacement needs no further room.
#[tokio::test]
async fn file_01_documents_of_a_person_are_bounded() {
    let settings = IdentitySettings { documents_per_person: 2, ..IdentitySettings::default() };
    let world = World::with(&settings, AccountStatus::Registered, documents_of).await;
    let id = world.add(passport_form()).await.text_at("/documentId").to_owned();
    let (one, other) = tokio::join!(world.add(selfie_form()), world.add(selfie_form()));
    let mut codes = [one.code(), other.code()];
    codes.sort_unstable();
    assert_eq!(codes, [201, 409]);
    let refused = world.add(selfie_form()).await;
    assert_eq!((refused.code(), refused.problem()), (409, "too_many_documents"));
    assert_eq!(world.replace(&id, passport_form()).await.code(), 200);
    world.wait_until_clean().await;
    assert_eq!(world.count().await, 2);

    let settings = IdentitySettings { document_mib_per_person: 0, ..IdentitySettings::default() };
    let world = World::with(&settings, AccountStatus::Registered, documents_of).await;
    assert_eq!(world.add(passport_form()).await.problem(), "too_many_documents");
    world.wait_until_clean().await;
}

/// Returns the form of a passport with another boundary.
fn passport_form_of_another_client() -> Form {
    let mut form = passport_form();
    let boundary = form.content_type.split_once("boundary=").unwrap().1.to_owned();
    let other = "z".repeat(boundary.len());
    form.content_type = form.content_type.replace(&boundary, &other);
    let parts = form.body.windows(boundary.len()).enumerate();
    let is_boundary = |(_, part): &(usize, &[u8])| *part == boundary.as_bytes();
    let places: Vec<usize> = parts.filter(is_boundary).map(|(at, _)| at).collect();
    for at in places {
        form.body[at..at + other.len()].copy_from_slice(other.as_bytes());
    }
    form
}

/// SEC-API-02: an upload that is repeated with its key is one document, whatever boundary its form
/// has; another file or field with the key is refused.
#[tokio::test]
async fn sec_api_02_a_repeated_upload_is_one_document() {
    let world = World::new(AccountStatus::Registered).await;
    let send = async |form: Form| {
        let ask = world.host.ask("POST", DOCUMENTS).token(&world.token);
        ask.header("idempotency-key", "k1").bytes(&form.content_type, form.body).send().await
    };
    let first = send(passport_form()).await;
    assert_eq!(first.code(), 201, "{}", first.text);
    let again = send(passport_form_of_another_client()).await;
    assert_eq!((again.code(), &again.json), (201, &first.json));
    for other in [selfie_form(), picture("PASSPORT", "passport.png", &png(90, 60))] {
        let refused = send(other).await;
        assert_eq!((refused.code(), refused.problem()), (422, "idempotency_key_reused"));
    }
    world.wait_until_clean().await;
    assert_eq!(world.count().await, 1);
    assert_eq!(world.audited().await, ["user.document_added"]);
}

/// FILE-05: nobody opens a document before the scanner has found it clean; its person may replace
/// or delete it.
#[tokio::test]
async fn file_05_a_document_is_held_until_it_is_scanned() {
    let settings = IdentitySettings::default();
    let world = World::with(&settings, AccountStatus::Registered, held_documents_of).await;
    let added = world.add(passport_form()).await;
    assert_eq!((added.code(), added.text_at("/status")), (201, "QUARANTINED"));
    let id = added.text_at("/documentId");
    let held = world.get(&format!("{}/content", path(id))).await;
    assert_eq!((held.code(), held.problem()), (409, "document_held"));
    assert_eq!(world.replace(id, passport_form()).await.code(), 200);
}

/// G10, CRY-03: of a person who was erased, no content is left, and nobody can ask for it.
#[tokio::test]
async fn g10_an_erased_document_is_gone() {
    let world = World::new(AccountStatus::Registered).await;
    let id = world.add(passport_form()).await.text_at("/documentId").to_owned();
    let (pool, person) = (world.host.database.pool(), world.id.clone().into());
    world.documents.erase(pool, &person, "REQUESTED").await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let row = repository::document(&mut conn, &person, &id).await.unwrap().unwrap();
    assert!(row.erased_at.is_some());
    assert!(world.documents.content(&row).await.is_err());
    let gone = world.get(&format!("{}/content", path(&id))).await;
    assert_eq!((gone.code(), gone.problem()), (401, "unauthenticated"));
}
