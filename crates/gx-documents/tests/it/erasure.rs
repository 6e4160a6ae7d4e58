//! CRY-03: what is erased stays unreadable, also when copies are brought back.

use std::path::Path;

use gx_documents::testing::passport;
use gx_documents::{
    ContentError, DocumentType, ErasureError, FileClaim, KeyStoreError, PageError, ReceiveError,
    is_erased,
};

use crate::world::{World, documents_in, person, pieces, stored_files, upload, watermark};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Keeps the rows of the documents as a backup has them.
const KEEP_ROWS: &str = r#"CREATE TABLE backup AS SELECT * FROM "KYCDocument""#;
/// Brings the rows back and forgets the erasures, as a restored database has.
const RESTORE_ROWS: [&str; 3] = [
    r#"DELETE FROM "KYCDocument""#,
    r#"DELETE FROM "PersonErasure""#,
    r#"INSERT INTO "KYCDocument" SELECT * FROM backup"#,
];

/// CRY-03: after an erasure the documents can be decrypted neither from the live store nor with the
/// rows of a database from before it, and the next start erases those again.
#[tokio::test]
async fn cry_03_a_restored_database_does_not_bring_an_erased_person_back() {
    let world = World::new().await;
    let document = world.add(&passport()).await.unwrap();
    sqlx::query(KEEP_ROWS).execute(world.pool()).await.unwrap();
    world.documents.erase(world.pool(), &person("anna"), "REQUESTED").await.unwrap();
    world.documents.erase(world.pool(), &person("anna"), "REQUESTED").await.unwrap();
    assert!(stored_files(&world.folder).is_empty());
    let erased = world.document("anna", &document.document_id).await.unwrap();
    let page = world.documents.page(&erased, 1, &watermark()).await.err().unwrap();
    assert!(matches!(page, PageError::Erased), "{page}");

    for statement in RESTORE_ROWS {
        sqlx::query(statement).execute(world.pool()).await.unwrap();
    }
    let restored = world.document("anna", &document.document_id).await.unwrap();
    assert!(restored.erased_at.is_none());
    let error = world.documents.content(&restored).await.err().unwrap();
    assert!(matches!(error, ContentError::Keys(KeyStoreError::Erased)), "{error}");
    assert_eq!(world.documents.replay_erasures(world.pool()).await.unwrap(), 1);
    assert_eq!(world.documents.replay_erasures(world.pool()).await.unwrap(), 0);
    let again = world.document("anna", &document.document_id).await.unwrap();
    assert!(again.erased_at.is_some());
    let mut conn = world.pool().acquire().await.unwrap();
    assert!(is_erased(&mut conn, &person("anna")).await.unwrap());
}

/// CRY-03: when rows, files and keys are all brought back from copies, the next start destroys the
/// key again, because the record of the erasure is newer.
#[tokio::test]
async fn cry_03_restored_keys_are_destroyed_again_by_the_next_start() {
    let world = World::new().await;
    let document = world.add(&passport()).await.unwrap();
    sqlx::query(KEEP_ROWS).execute(world.pool()).await.unwrap();
    let (root, copies) = (world.folder.path(), world.folder.path().join("copies"));
    copy(&root.join("keys"), &copies.join("keys"));
    copy(&root.join("store/documents"), &copies.join("documents"));
    world.documents.erase(world.pool(), &person("anna"), "REQUESTED").await.unwrap();
    copy(&copies.join("keys"), &root.join("keys"));
    copy(&copies.join("documents"), &root.join("store/documents"));

    // The database knows the erasure, and only the key store was restored.
    assert_eq!(world.documents.replay_erasures(world.pool()).await.unwrap(), 0);
    for statement in RESTORE_ROWS {
        sqlx::query(statement).execute(world.pool()).await.unwrap();
    }
    let restored = world.document("anna", &document.document_id).await.unwrap();
    assert!(world.documents.content(&restored).await.is_err());
    copy(&copies.join("keys"), &root.join("keys"));
    assert_eq!(world.documents.replay_erasures(world.pool()).await.unwrap(), 1);
    assert!(world.documents.content(&restored).await.is_err());
    world.documents.sweep(world.pool()).await.unwrap();
    assert!(stored_files(&world.folder).is_empty());
}

/// An upload that is under way when its person is erased is not added, and no new one begins.
#[tokio::test]
async fn an_erased_person_hands_nothing_in() {
    let world = World::new().await;
    let anna = upload(&person("anna"), DocumentType::Passport, FileClaim::default());
    let file = passport();
    let received =
        world.documents.receive(world.pool(), anna.clone(), pieces(&file)).await.unwrap();
    world.documents.erase(world.pool(), &person("anna"), "RETENTION").await.unwrap();
    let mut tx = world.pool().begin().await.unwrap();
    assert!(world.documents.commit(&mut tx, &received).await.is_err());
    drop(tx);
    let error = world.documents.receive(world.pool(), anna, pieces(&file)).await.err().unwrap();
    assert!(matches!(error, ReceiveError::Keys(KeyStoreError::Erased)), "{error}");
    world.documents.sweep(world.pool()).await.unwrap();
    assert!(stored_files(&world.folder).is_empty());
}

/// PRIV-01: nothing of a person on legal hold is erased, and there is no record of an erasure.
#[tokio::test]
async fn priv_01_a_legal_hold_leaves_no_record_of_an_erasure() {
    let world = World::new().await;
    let document = world.add(&passport()).await.unwrap();
    world.hold("anna", true).await;
    let anna = person("anna");
    let error = world.documents.erase(world.pool(), &anna, "REQUESTED").await.err().unwrap();
    assert!(matches!(error, ErasureError::OnLegalHold), "{error}");
    assert!(world.documents.content(&document).await.is_ok());
    assert_eq!(world.documents.replay_erasures(world.pool()).await.unwrap(), 0, "no record");
    world.hold("anna", false).await;
    world.documents.erase(world.pool(), &anna, "RETENTION").await.unwrap();
    assert!(world.documents.content(&document).await.is_err());
}

/// CRY-03: an erasure that was recorded is final, also where a restored database has the account on
/// legal hold.
#[tokio::test]
async fn cry_03_a_legal_hold_of_a_restored_database_stops_no_recorded_erasure() {
    let world = World::new().await;
    let keep = r#"CREATE TABLE backup AS SELECT * FROM "UserProfile""#;
    sqlx::query(keep).execute(world.pool()).await.unwrap();
    world.documents.erase(world.pool(), &person("anna"), "REQUESTED").await.unwrap();
    sqlx::raw_sql(
        r#"DELETE FROM "PersonErasure"; DELETE FROM "UserProfile";
           INSERT INTO "UserProfile" SELECT * FROM backup"#,
    )
    .execute(world.pool())
    .await
    .unwrap();
    world.hold("anna", true).await;
    assert_eq!(world.documents.replay_erasures(world.pool()).await.unwrap(), 1);
    let (name, is_held): (String, bool) =
        sqlx::query_as(r#"SELECT "firstName", "legalHoldAt" IS NOT NULL FROM "UserProfile""#)
            .fetch_one(world.pool())
            .await
            .unwrap();
    assert_eq!((name.as_str(), is_held), ("erased", false));
}

/// CRY-02: documents are read while and after the master key is replaced, and their files do not
/// change.
#[tokio::test]
async fn cry_02_documents_are_read_after_the_master_key_was_replaced() {
    let world = World::new().await;
    let file = passport();
    let document = world.add(&file).await.unwrap();
    let path = world.folder.path().join("store").join(&stored_files(&world.folder)[0]);
    let sealed = std::fs::read(&path).unwrap();
    let both = documents_in(&world.folder, &world.clock, None, &[2, 1]);
    assert!(both.content(&document).await.is_ok());
    let report = both.keys().rotate(|_| ()).await.unwrap();
    assert_eq!((report.rewrapped, report.failures), (1, 0));
    let new = documents_in(&world.folder, &world.clock, None, &[2]);
    assert!(new.content(&document).await.is_ok());
    assert!(world.documents.content(&document).await.is_err(), "the old key alone is of no use");
    assert_eq!(std::fs::read(&path).unwrap(), sealed);
}
