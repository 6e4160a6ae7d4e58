//! Files that come in: stored sealed, refused, or aborted.

use futures_util::StreamExt as _;
use gx_documents::repository::{self, DocumentFacts};
use gx_documents::testing::{PdfText, jpeg, passport, pdf, png, selfie};
use gx_documents::{
    CommitError, ContentError, DamagedFile, DocumentStatus, DocumentType, FactsError, FileClaim,
    FingerprintUse, ReceiveError, UPLOAD_LIFE, rotate_fingerprints,
};

use crate::world::{World, documents_in, person, pieces, ring, stored_files, upload};

/// CRY-01: a document comes back as it was; on disk is no run of 16 of its bytes, and the database
/// has neither its hash nor its number.
#[tokio::test]
async fn cry_01_a_document_is_stored_sealed_and_comes_back() {
    let world = World::new().await;
    for file in [passport(), selfie(), pdf(&PdfText { pages: 3, ..PdfText::default() })] {
        let document = world.add(&file).await.unwrap();
        assert!(world.content(&document).await == file);
        assert_eq!(document.size, i64::try_from(file.len()).unwrap());
        let facts: DocumentFacts = world.documents.facts(&document).await.unwrap();
        assert_eq!(facts.number.as_deref(), Some("A 123-456"));
        let runs: std::collections::HashSet<&[u8]> = file.windows(16).collect();
        for name in stored_files(&world.folder) {
            let sealed = std::fs::read(world.folder.path().join("store").join(&name)).unwrap();
            assert!(!sealed.windows(16).any(|run| runs.contains(run)), "{name}");
        }
        let row: String = sqlx::query_scalar(r#"SELECT row_to_json(d)::text FROM "KYCDocument" d"#)
            .fetch_one(world.pool())
            .await
            .unwrap();
        for secret in [facts.sha256.as_str(), "123-456", "A123456"] {
            assert!(!row.contains(secret), "{secret}");
        }
    }
    let pages: Vec<Option<i32>> =
        sqlx::query_scalar(r#"SELECT "pageCount" FROM "KYCDocument" ORDER BY "pageCount""#)
            .fetch_all(world.pool())
            .await
            .unwrap();
    assert_eq!(pages, [Some(1), Some(1), Some(3)]);
}

/// CRY-01: a stored file that was changed, cut or exchanged gives an error and no content at all.
#[tokio::test]
async fn cry_01_a_changed_or_exchanged_file_gives_no_content() {
    let world = World::new().await;
    let file = png(500, 400);
    let (one, two) = (world.add(&file).await.unwrap(), world.add(&file).await.unwrap());
    let [first, second] = &stored_files(&world.folder)[..] else { panic!("two files") };
    let path = |name: &str| world.folder.path().join("store").join(name);
    let (sealed, other) =
        (std::fs::read(path(first)).unwrap(), std::fs::read(path(second)).unwrap());
    let mut flipped = sealed.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for changed in [&flipped[..], &sealed[..sealed.len() - 1], &other[..], b""] {
        std::fs::write(path(first), changed).unwrap();
        let mut errors = 0;
        for document in [&one, &two] {
            match world.documents.content(document).await {
                Ok(_) => {}
                Err(error) => {
                    assert!(matches!(error, ContentError::Damaged(DamagedFile)), "{error}");
                    errors += 1;
                }
            }
        }
        assert_eq!(errors, 1);
    }
    std::fs::remove_file(path(first)).unwrap();
    std::fs::remove_file(path(second)).unwrap();
    assert!(matches!(world.documents.content(&one).await, Err(ContentError::Store(_))));
}

/// FILE-01, FILE-04: the file is stored under a generated name; the user's name for it is kept
/// encrypted and with harmless characters only.
#[tokio::test]
async fn file_04_the_name_of_a_file_is_harmless_metadata() {
    let world = World::new().await;
    let claim = FileClaim {
        mime_type: Some("image/jpeg".to_owned()),
        file_name: Some("../../etc/<b>pass\r\nport\".jpg".to_owned()),
    };
    let upload = upload(&person("anna"), DocumentType::Passport, claim);
    let received =
        world.documents.receive(world.pool(), upload, pieces(&passport())).await.unwrap();
    let mut tx = world.pool().begin().await.unwrap();
    world.documents.commit(&mut tx, &received).await.unwrap();
    tx.commit().await.unwrap();
    let document = world.document("anna", &received.document_id).await.unwrap();
    let facts = world.documents.facts(&document).await.unwrap();
    assert_eq!(facts.file_name.as_deref(), Some("bpassport.jpg"));
    let [file] = &stored_files(&world.folder)[..] else { panic!("one file") };
    assert!(file.ends_with(&document.document_id), "{file}");
}

/// FILE-02: a refused file, one whose upload ends early, and one whose request is dropped leave
/// nothing.
#[tokio::test]
async fn file_02_refused_and_aborted_uploads_leave_nothing() {
    let world = World::new().await;
    let refused = world.add(b"<html>").await.err().unwrap();
    assert!(matches!(refused, ReceiveError::Refused(_)), "{refused}");
    let file = jpeg(800, 600);
    let broken = pieces(&file)
        .take(3)
        .chain(futures_util::stream::iter([Err(std::io::Error::other("the client is gone"))]));
    let anna = upload(&person("anna"), DocumentType::Passport, FileClaim::default());
    let error = world.documents.receive(world.pool(), anna.clone(), broken).await.err().unwrap();
    assert!(matches!(error, ReceiveError::Upload(_)), "{error}");

    let (sent, reached) = tokio::sync::oneshot::channel::<()>();
    let stuck = pieces(&file).take(4).chain(futures_util::stream::once(async move {
        sent.send(()).unwrap();
        std::future::pending::<Result<_, std::io::Error>>().await
    }));
    tokio::select! {
        _ = reached => {}
        _ = world.documents.receive(world.pool(), anna.clone(), stuck) => panic!("it is stuck"),
    }
    drop(world.documents.receive(world.pool(), anna, pieces(&file)).await.unwrap());
    world.wait_until_clean().await;
    assert!(stored_files(&world.folder).is_empty());
}

/// An upload whose transaction is rolled back leaves nothing, and one that was given up meanwhile
/// is not added.
#[tokio::test]
async fn a_document_and_its_file_exist_only_together() {
    let world = World::new().await;
    let anna = upload(&person("anna"), DocumentType::Passport, FileClaim::default());
    let file = passport();
    let rolled_back =
        world.documents.receive(world.pool(), anna.clone(), pieces(&file)).await.unwrap();
    let mut tx = world.pool().begin().await.unwrap();
    world.documents.commit(&mut tx, &rolled_back).await.unwrap();
    tx.rollback().await.unwrap();
    drop(rolled_back);
    world.wait_until_clean().await;

    let late = world.documents.receive(world.pool(), anna, pieces(&file)).await.unwrap();
    world.clock.advance(UPLOAD_LIFE + std::time::Duration::from_secs(1));
    assert_eq!(world.documents.sweep(world.pool()).await.unwrap().removed, 1);
    let mut tx = world.pool().begin().await.unwrap();
    let error = world.documents.commit(&mut tx, &late).await.err().unwrap();
    assert!(matches!(error, CommitError::Ended), "{error}");
    drop(tx);
    assert!(stored_files(&world.folder).is_empty());
}

/// KYC-01: a document that was removed is gone with its file, and another person's is not found.
#[tokio::test]
async fn a_removed_document_is_gone_with_its_file() {
    let world = World::new().await;
    world.add_person("ben").await;
    let document = world.add(&passport()).await.unwrap();
    let id = &document.document_id;
    assert!(world.document("ben", id).await.is_none());
    let now = world.clock.now();
    let mut conn = world.pool().acquire().await.unwrap();
    assert!(!repository::remove(&mut conn, &person("ben"), id, now).await.unwrap());
    let usage = repository::usage(&mut conn, &person("anna")).await.unwrap();
    assert_eq!((usage.documents, usage.bytes), (1, document.size));
    assert!(repository::remove(&mut conn, &person("anna"), id, now).await.unwrap());
    assert_eq!(world.documents.sweep(world.pool()).await.unwrap().removed, 1);
    assert!(stored_files(&world.folder).is_empty());
    assert!(repository::documents(&mut conn, &person("anna")).await.unwrap().is_empty());
}

/// KYC-01: SQL permits the transitions of a document only.
#[tokio::test]
async fn kyc_01_a_document_moves_only_as_permitted() {
    use DocumentStatus::{Accepted, Quarantined, Rejected, Stored};
    let world = World::new().await;
    let document = world.add(&passport()).await.unwrap();
    let id = &document.document_id;
    let mut conn = world.pool().acquire().await.unwrap();
    for (from, to) in [(Stored, Accepted), (Accepted, Stored), (Stored, Rejected)] {
        assert!(repository::set_status(&mut conn, id, from, to).await.unwrap(), "{from} {to}");
    }
    assert!(!repository::set_status(&mut conn, id, Stored, Accepted).await.unwrap());
    let error = repository::set_status(&mut conn, id, Rejected, Quarantined).await.err().unwrap();
    assert!(error.to_string().contains("cannot go from"), "{error}");
}

/// The same file or number is found under another person, also after the master key was replaced
/// (CRY-02), and under nobody once the other is erased.
#[tokio::test]
async fn the_same_file_or_number_is_found_under_other_people() {
    let world = World::new().await;
    world.add_person("ben").await;
    world.add_person("cora").await;
    let anna = world.add(&passport()).await.unwrap();
    let ben = world.add_for("ben", &passport()).await.unwrap();
    let cora = world.add_for("cora", &selfie()).await.unwrap();
    let mut conn = world.pool().acquire().await.unwrap();
    let found = async |conn: &mut sqlx::PgConnection, documents: &gx_documents::Documents| {
        let mut found: Vec<_> = documents
            .duplicates(conn, &anna)
            .await
            .unwrap()
            .into_iter()
            .map(|one| (one.document_id, one.is_same_file, one.is_same_number))
            .collect();
        found.sort();
        found
    };
    let mut expected =
        vec![(ben.document_id.clone(), true, true), (cora.document_id.clone(), false, true)];
    expected.sort();
    assert_eq!(found(&mut conn, &world.documents).await, expected);

    let rotated = documents_in(&world.folder, &world.clock, None, &[2, 1]);
    assert_eq!(found(&mut conn, &rotated).await, expected, "old hashes are found by the new ring");
    let uses = rotate_fingerprints(&mut conn, rotated.keys(), &ring(&[2, 1])).await.unwrap();
    assert_eq!(uses, [FingerprintUse { version: 2, documents: 3 }]);
    assert_eq!(found(&mut conn, &rotated).await, expected);

    rotated.erase(world.pool(), &person("ben"), "REQUESTED").await.unwrap();
    expected.retain(|(id, ..)| *id == cora.document_id);
    assert_eq!(found(&mut conn, &rotated).await, expected);
    let erased = world.document("ben", &ben.document_id).await.unwrap();
    let error = rotated.facts(&erased).await.err().unwrap();
    assert!(matches!(error, FactsError::Keys(_)), "{error}");
}

/// A row of an imported database may have a type or status that no document has. It is left out.
#[tokio::test]
async fn rows_that_are_no_documents_are_left_out() {
    let world = World::new().await;
    let document = world.add(&passport()).await.unwrap();
    sqlx::query(
        r#"INSERT INTO "KYCDocument" ("documentId", "profileId", type, status, "storageKey", sha256,
               size, "mimeType", "uploadedAt")
           VALUES ('old type', 'anna', 'SELFIE', 'STORED', 'x', repeat('0a', 32), 1, 'image/png',
                   now()),
                  ('old status', 'anna', 'PASSPORT', 'PENDING', 'y', repeat('0a', 32), 1,
                   'image/png', now())"#,
    )
    .execute(world.pool())
    .await
    .unwrap();
    let mut conn = world.pool().acquire().await.unwrap();
    let found = repository::documents(&mut conn, &person("anna")).await.unwrap();
    let ids: Vec<&str> = found.iter().map(|found| found.document_id.as_str()).collect();
    assert_eq!(ids, [document.document_id.as_str()]);
    assert!(world.document("anna", "old status").await.is_none());
}
