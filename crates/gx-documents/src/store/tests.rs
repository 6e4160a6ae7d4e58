//! The store of documents, in a folder and in memory: both pass the same tests.

use gx_db::ProfileId;
use object_store::memory::InMemory;
use tempfile::TempDir;
use time::OffsetDateTime;

use super::*;

/// Returns a store in memory, which behaves as S3 does.
fn in_memory() -> DocumentStore {
    DocumentStore { objects: Arc::new(InMemory::new()), local: None, part_bytes: 64 * 1024 }
}

fn in_folder(folder: &TempDir) -> DocumentStore {
    let settings = DocumentStoreSettings { document_store: folder.path().join("documents") };
    DocumentStore::local(&settings).unwrap()
}

async fn content(store: &DocumentStore, key: &str) -> Vec<u8> {
    let pieces: Vec<Bytes> = store.read(key).await.unwrap().try_collect().await.unwrap();
    pieces.concat()
}

async fn write(store: &DocumentStore, key: &str, bytes: &[u8]) {
    let mut writer = store.writer(key).await.unwrap();
    for piece in bytes.chunks(10_000) {
        writer.write(piece).await.unwrap();
    }
    writer.complete().await.unwrap();
}

fn erasure(person: &str) -> ErasureRecord {
    ErasureRecord {
        profile_id: ProfileId::from(person.to_owned()),
        erased_at: OffsetDateTime::UNIX_EPOCH,
        reason_code: "REQUESTED".to_owned(),
    }
}

/// What every store does.
async fn check(store: &DocumentStore) {
    let key = storage_key("0190a8e0-0000-7000-8000-000000000abc");
    assert_eq!(key, "documents/abc/0190a8e0-0000-7000-8000-000000000abc");
    assert!(store.read(&key).await.err().unwrap().is_missing());
    let bytes: Vec<u8> = (0..400_000_u32).map(|at| (at % 251) as u8).collect();
    write(store, &key, &bytes).await;
    assert!(content(store, &key).await == bytes);
    assert_eq!(store.document_keys().await.unwrap(), std::slice::from_ref(&key));

    let mut aborted = store.writer("documents/000/aborted").await.unwrap();
    aborted.write(&bytes).await.unwrap();
    aborted.abort().await.unwrap();
    assert_eq!(store.document_keys().await.unwrap(), std::slice::from_ref(&key));

    store.delete(&key).await.unwrap();
    store.delete(&key).await.unwrap();
    assert!(store.document_keys().await.unwrap().is_empty());

    assert!(store.erasure_names().await.unwrap().is_empty());
    let first = store.record_erasure(erasure("anna")).await.unwrap();
    let again = ErasureRecord { reason_code: "RETENTION".to_owned(), ..erasure("anna") };
    assert_eq!(store.record_erasure(again).await.unwrap(), first, "the first record stays");
    let name = record_name(&first.profile_id);
    assert_eq!(store.erasure_names().await.unwrap(), std::slice::from_ref(&name));
    assert_eq!(store.erasure(&name).await.unwrap(), first);
    assert!(store.erasure("other").await.err().unwrap().is_missing());
}

#[tokio::test]
async fn a_folder_and_an_object_store_keep_the_same_promises() {
    let folder = TempDir::new().unwrap();
    check(&in_folder(&folder)).await;
    check(&in_memory()).await;
}

/// FILE-02: what a killed process was writing is removed with its object, and is never listed.
#[tokio::test]
async fn file_02_unfinished_files_of_a_killed_process_are_removed() {
    let folder = TempDir::new().unwrap();
    let store = in_folder(&folder);
    let key = storage_key("abc");
    write(&store, &key, b"whole").await;
    let shard = folder.path().join("documents/documents/abc");
    for left in ["abc#1", "abc#2"] {
        std::fs::write(shard.join(left), b"a part").unwrap();
    }
    std::fs::write(shard.join("other#1"), b"of another upload").unwrap();
    assert_eq!(store.document_keys().await.unwrap(), std::slice::from_ref(&key));
    store.delete(&key).await.unwrap();
    let left: Vec<_> =
        std::fs::read_dir(&shard).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["other#1"]);
}

/// The record of an erasure is found only under the name of its person.
#[tokio::test]
async fn a_record_under_another_name_is_an_error() {
    let folder = TempDir::new().unwrap();
    let store = in_folder(&folder);
    let record = store.record_erasure(erasure("anna")).await.unwrap();
    let records = folder.path().join("documents/erasures");
    let name = record_name(&record.profile_id);
    std::fs::copy(records.join(&name), records.join("ab".repeat(32))).unwrap();
    let error = store.erasure(&"ab".repeat(32)).await.err().unwrap();
    assert!(matches!(error, StoreError::ErasureForm { .. }), "{error}");
}
