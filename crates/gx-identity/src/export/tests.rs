//! Exports, through the router, read back by a reader of archives that the tests have.

use axum::body::{Body, to_bytes};
use gx_auth::testing::TestHost;
use gx_documents::testing::{documents_of, form, held_documents_of, passport_form, png};
use gx_model::AccountStatus;
use serde_json::{Value, json};
use time::macros::datetime;
use tower::ServiceExt as _;

use super::zip::ZipWriter;
use crate::IdentitySettings;
use crate::tests::{hand_in, host, send_form};

const EXPORT: &str = "/api/v1/users/me/export";
const DOCUMENTS: &str = "/api/v1/users/me/kyc/documents";

/// A file of an archive.
#[derive(Debug, PartialEq, Eq)]
struct Unpacked {
    name: String,
    content: Vec<u8>,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> usize {
    bytes[at..at + N].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// Reads an archive by the list at its end, and checks the sums and sizes of its entries.
fn unpack(archive: &[u8]) -> Vec<Unpacked> {
    let end = archive.len() - 22;
    assert_eq!(&archive[end..end + 4], b"PK\x05\x06");
    let (entries, mut at) = (number::<2>(archive, end + 10), number::<4>(archive, end + 16));
    assert_eq!(at + number::<4>(archive, end + 12), end);
    let mut files = Vec::new();
    for _ in 0..entries {
        assert_eq!(&archive[at..at + 4], b"PK\x01\x02");
        let (sum, packed) = (number::<4>(archive, at + 16), number::<4>(archive, at + 20));
        let (size, length) = (number::<4>(archive, at + 24), number::<2>(archive, at + 28));
        let head = number::<4>(archive, at + 42);
        let name = String::from_utf8(archive[at + 46..at + 46 + length].to_vec()).unwrap();
        assert_eq!(&archive[head..head + 4], b"PK\x03\x04");
        let start = head + 30 + number::<2>(archive, head + 26);
        let content = inflate(&archive[start..start + packed]);
        assert_eq!((content.len(), crc32fast::hash(&content) as usize), (size, sum), "{name}");
        let behind = start + packed;
        assert_eq!(&archive[behind..behind + 4], b"PK\x07\x08");
        assert_eq!(number::<4>(archive, behind + 4), sum);
        files.push(Unpacked { name, content });
        at += 46 + length;
    }
    files
}

/// Reads the stored blocks of DEFLATE.
fn inflate(mut packed: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let size = number::<2>(packed, 1);
        assert_eq!(number::<2>(packed, 3), 0xffff - size);
        content.extend(&packed[5..5 + size]);
        let is_last = packed[0] == 1;
        packed = &packed[5 + size..];
        if is_last {
            assert!(packed.is_empty());
            return content;
        }
    }
}

/// Returns the files of a person's export.
async fn export(host: &TestHost, token: &str) -> Vec<Unpacked> {
    let request = http::Request::get(EXPORT)
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let answer = host.service.public(false).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/zip");
    let fields = &answer.headers()["content-disposition"];
    assert_eq!(fields, "attachment; filename=\"gx-export.zip\"");
    unpack(&to_bytes(answer.into_body(), usize::MAX).await.unwrap())
}

fn json_of(files: &[Unpacked]) -> Value {
    assert_eq!(files[0].name, "person.json");
    serde_json::from_slice(&files[0].content).unwrap()
}

async fn run(host: &TestHost, sql: &'static str, id: &str) {
    sqlx::query(sql).bind(id).execute(host.database.pool()).await.unwrap();
}

/// PRIV-01: a person gets all that is kept: facts, sessions, decisions, payments, the audit log,
/// and the files of documents as they were. Nothing is about anybody else, and no secret is among
/// it.
#[tokio::test]
async fn priv_01_a_person_gets_all_that_is_kept() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let other = host.add_person("eve@gxtest.com", AccountStatus::Registered).await;
    host.session_of(&other).await;
    let token = host.session_of(&id).await.access_token;
    let content = png(90, 60);
    let fields = [("type", "NATIONAL_ID"), ("side", "back"), ("documentNumber", "A 123-456")];
    let card = form(&fields, "card.png", "image/png", &content);
    assert_eq!(send_form(&host, "POST", DOCUMENTS, &token, card).await.code(), 201);
    run(
        &host,
        r#"INSERT INTO "LedgerUser" ("fabricUserId", "profileId", "countryCode", "createdTxId",
               "createdAt") VALUES ('MY 463 AUN834 0QKZB 5821', $1, 'MY', 'tx', now())"#,
        &id,
    )
    .await;
    run(
        &host,
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, "profileId", "fabricUserId",
               balance, "lastTxId", "asOfBlock", "createdAt", "updatedAt")
           VALUES ('w', 'MY 463 AUN834 0QKZB 5821', 'USER', $1, 'MY 463 AUN834 0QKZB 5821',
               12500000, 'tx', 0, now(), now())"#,
        &id,
    )
    .await;
    // More rows than are read at once.
    run(
        &host,
        r#"INSERT INTO "Transaction" (id, "onChainTxId", "blockNumber", "eventIndex", "commandId",
               "accountId", type, direction, counterparty, amount, fee, at)
           SELECT 't' || n || $1, 'tx' || n, n, 0, 'c' || n, 'MY 463 AUN834 0QKZB 5821', 'TRANSFER',
               'IN', 'somebody', 1500000, 0, now()
           FROM generate_series(1, 450) n"#,
        &id,
    )
    .await;
    let files = export(&host, &token).await;
    let person = json_of(&files);
    assert_eq!(person["profile"]["email"], "sarah@gxtest.com");
    assert_eq!(person["profile"]["dateOfBirth"], "1992-08-20");
    assert_eq!(person["wallet"]["balance"], "12.5");
    let transactions = person["transactions"].as_array().unwrap();
    assert_eq!(transactions.len(), 450);
    assert_eq!(transactions[449]["amount"], "1.5");
    assert_eq!(person["sessions"].as_array().unwrap().len(), 1);
    let document = &person["documents"][0];
    assert_eq!(document["documentNumber"], "A 123-456");
    assert_eq!(document["fileName"], "card.png");
    assert_eq!(document["file"], "documents/1-NATIONAL_ID-back.png");
    assert_eq!(files[1].name, "documents/1-NATIONAL_ID-back.png");
    assert!(files[1].content == content, "the file as it was handed in");
    assert_eq!(files.len(), 2);
    let actions: Vec<&str> = person["auditLog"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["user.document_added", "user.data_exported"]);
    for empty in ["devices", "secondFactors", "messages", "submissions", "commands"] {
        assert_eq!(person[empty], json!([]), "{empty}");
    }
    let text = String::from_utf8_lossy(&files[0].content).into_owned();
    for secret in ["$argon2", "passwordHash", "eve@gxtest.com", &other] {
        assert!(!text.contains(secret), "{secret}");
    }
}

/// PRIV-01: a submission with its decision, and what is private to the reviewers.
#[tokio::test]
async fn priv_01_private_comments_are_left_out() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    hand_in(&host, &token).await;
    let submitted = host.post("/api/v1/users/me/kyc/submit", &token, &json!({})).await;
    assert_eq!(submitted.code(), 200, "{}", submitted.text);
    run(
        &host,
        r#"UPDATE "KYCVerification" SET status = 'DENIED', "decidedAt" = now(),
               "decidedBy" = 'admin-7', "reasonCode" = 'DOCUMENT_UNREADABLE',
               finality = 'RETRY', "publicComment" = 'too dark', "privateComment" = 'suspicious'
           WHERE "profileId" = $1"#,
        &id,
    )
    .await;
    run(
        &host,
        r#"INSERT INTO "AuditEntry" (at, "actorType", "actorId", action, "targetType", "targetId")
           VALUES (now(), 'ADMIN', 'a', 'user.legal_hold_set', 'UserProfile', $1)"#,
        &id,
    )
    .await;
    let files = export(&host, &token).await;
    let submission = &json_of(&files)["submissions"][0];
    assert_eq!(
        (&submission["status"], &submission["publicComment"]),
        (&json!("DENIED"), &json!("too dark"))
    );
    let text = String::from_utf8_lossy(&files[0].content).into_owned();
    for private in ["suspicious", "legal_hold", "admin-7"] {
        assert!(!text.contains(private), "{private}");
    }
}

/// PRIV-01, FILE-05: a file that waits for the scanner is described and not handed out.
#[tokio::test]
async fn priv_01_a_file_that_is_held_back_is_not_exported() {
    let host = TestHost::new(|base| {
        let documents = held_documents_of(&base);
        crate::service(&IdentitySettings::default(), base, documents)
    })
    .await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    let sent = send_form(&host, "POST", DOCUMENTS, &token, passport_form()).await;
    assert_eq!(sent.code(), 201);
    let files = export(&host, &token).await;
    let document = &json_of(&files)["documents"][0];
    assert_eq!((&document["status"], &document["file"]), (&json!("QUARANTINED"), &Value::Null));
    assert_eq!(files.len(), 1);
}

/// PRIV-01: a document that is deleted while the archive is written is left out, and the archive is
/// whole.
#[tokio::test]
async fn priv_01_a_document_that_is_deleted_meanwhile_is_left_out() {
    let mut documents = None;
    let host = TestHost::new(|base| {
        let built = documents.insert(documents_of(&base)).clone();
        crate::service(&IdentitySettings::default(), base, built)
    })
    .await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    let sent = send_form(&host, "POST", DOCUMENTS, &token, passport_form()).await;
    let request = http::Request::get(EXPORT)
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let answer = host.service.public(false).oneshot(request).await.unwrap();
    let path = format!("{DOCUMENTS}/{}", sent.text_at("/documentId"));
    assert_eq!(host.ask("DELETE", &path).token(&token).send().await.code(), 204);
    documents.unwrap().sweep(host.database.pool()).await.unwrap();
    let archive = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert_eq!(unpack(&archive).len(), 1);
}

/// An archive is what its reader expects, also of entries without content and above the size of a
/// block.
#[test]
fn an_archive_is_read_as_it_was_written() {
    let mut zip = ZipWriter::new(datetime!(2026-03-01 12:30:08 UTC));
    let mut archive = Vec::new();
    let large = vec![7; 200_000];
    for (name, pieces) in [
        ("empty", &[][..]),
        ("documents/1-ä.png", &[&b"abc"[..], b"", b"def"]),
        ("large", &[&large[..]]),
    ] {
        archive.extend(zip.begin(name));
        for piece in pieces {
            archive.extend(zip.add(piece));
        }
        archive.extend(zip.end().unwrap());
    }
    archive.extend(zip.finish().unwrap());
    let unpacked =
        |name: &str, content: &[u8]| Unpacked { name: name.to_owned(), content: content.to_vec() };
    let expected = [
        unpacked("empty", b""),
        unpacked("documents/1-ä.png", b"abcdef"),
        unpacked("large", &large),
    ];
    assert_eq!(unpack(&archive), expected);
    assert!(archive.len() < large.len() + 700, "memory and size are those of the content");
}
