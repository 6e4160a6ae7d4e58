//! Keys of people: bound to their person, erased for good, and re-wrapped while they are read.

use crate::seal::DamagedFile;
use gx_auth::key_ring::new_line;
use tempfile::TempDir;
use time::OffsetDateTime;

use super::*;
use crate::seal::FileKey;

fn ring(versions: &[i32]) -> KeyRing {
    let line =
        |version: &i32| new_line(*version, &Entropy::seeded(u64::from(version.unsigned_abs())));
    let lines: Vec<String> = versions.iter().map(line).collect();
    KeyRing::parse(&lines.join("\n"), Entropy::seeded(7)).unwrap()
}

fn store(folder: &TempDir, versions: &[i32]) -> KeyStore {
    let settings = KeyStoreSettings { key_store: folder.path().join("keys") };
    KeyStore::open(&settings, ring(versions), Entropy::system()).unwrap()
}

fn person(name: &str) -> ProfileId {
    ProfileId::from(name.to_owned())
}

fn entropy() -> Entropy {
    Entropy::seeded(3)
}

/// Returns the path of the only file of a person.
fn only_file(store: &KeyStore) -> PathBuf {
    let files = store.files.0.shards().unwrap();
    let files: Vec<PathBuf> =
        files.iter().flat_map(|shard| folder::files(shard).unwrap()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    file.clone()
}

/// CRY-01: the key of a document is unwrapped only for its document and by its person, and a
/// person's key is always the same one.
#[tokio::test]
async fn cry_01_a_wrapped_key_belongs_to_one_document_of_one_person() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder, &[1]);
    let (anna, ben) = (person("anna"), person("ben/../../x"));
    let key = FileKey::new(&entropy());
    let wrapped = store.key_or_new(&anna).await.unwrap().wrap("one", &key, &entropy());
    let again = store.key(&anna).await.unwrap();
    assert_eq!(again.unwrap("one", &wrapped).unwrap().bytes(), key.bytes());
    assert_eq!(again.unwrap("two", &wrapped).unwrap_err(), DamagedFile);
    let other = store.key_or_new(&ben).await.unwrap();
    assert_eq!(other.unwrap("one", &wrapped).unwrap_err(), DamagedFile);
    assert!(again.decrypt_facts("one", &wrapped).is_err(), "facts have a key of their own");
    for at in 0..wrapped.len() {
        let mut changed = wrapped.clone();
        changed[at] ^= 1;
        assert_eq!(again.unwrap("one", &changed).unwrap_err(), DamagedFile, "byte {at}");
        assert_eq!(again.unwrap("one", &wrapped[..at]).unwrap_err(), DamagedFile, "{at} bytes");
    }
}

/// CRY-01: the key of a person cannot be put in the place of another person's.
#[tokio::test]
async fn cry_01_a_copied_file_is_not_the_key_of_another_person() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder, &[1]);
    store.key_or_new(&person("anna")).await.unwrap();
    let file = only_file(&store);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("anna", "bert")).unwrap();
    let error = store.key(&person("anna")).await.err().unwrap();
    assert!(matches!(error, KeyStoreError::Form { .. }), "{error}");
    std::fs::write(&file, "{}").unwrap();
    let error = store.key(&person("anna")).await.err().unwrap();
    assert!(matches!(error, KeyStoreError::Form { .. }), "{error}");
}

/// Two replicas that take in the first document of a person at once use one key.
#[tokio::test]
async fn replicas_that_create_a_key_at_once_agree_on_one() {
    let folder = TempDir::new().unwrap();
    let replicas: Vec<KeyStore> = (0..8).map(|_| store(&folder, &[1])).collect();
    let anna = person("anna");
    let keys = replicas.iter().map(|replica| replica.key_or_new(&anna));
    let keys: Vec<PersonKey> = futures_util::future::try_join_all(keys).await.unwrap();
    let key = FileKey::new(&entropy());
    let wrapped = keys[0].wrap("one", &key, &entropy());
    for other in &keys {
        assert_eq!(other.unwrap("one", &wrapped).unwrap().bytes(), key.bytes());
    }
}

/// CRY-03: an erased key is gone for good: no key is read or created, and the file has none.
#[tokio::test]
async fn cry_03_an_erased_person_never_has_a_key_again() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder, &[1]);
    let (anna, now) = (person("anna"), OffsetDateTime::UNIX_EPOCH);
    assert!(matches!(store.key(&anna).await, Err(KeyStoreError::Missing)));
    store.key_or_new(&anna).await.unwrap();
    let before = std::fs::read_to_string(only_file(&store)).unwrap();
    assert!(before.contains("\"key\""), "{before}");
    assert!(store.files().erase(&anna, now).await.unwrap());
    assert!(!store.files().erase(&anna, now).await.unwrap(), "a repetition finds nothing to erase");
    assert!(matches!(store.key(&anna).await, Err(KeyStoreError::Erased)));
    assert!(matches!(store.key_or_new(&anna).await, Err(KeyStoreError::Erased)));
    let after = std::fs::read_to_string(only_file(&store)).unwrap();
    assert_eq!(after, r#"{"profileId":"anna","erasedAt":0}"#);
    // Also of a person who had no key.
    assert!(!store.files().erase(&person("ben"), now).await.unwrap());
    assert!(matches!(store.key_or_new(&person("ben")).await, Err(KeyStoreError::Erased)));
}

/// CRY-02: the keys of people are re-wrapped while they are read; no document changes, and the old
/// master key is then of no use.
#[tokio::test]
async fn cry_02_keys_of_people_are_rewrapped_with_reads_live() {
    const PEOPLE: u64 = 60;
    let folder = TempDir::new().unwrap();
    let old = store(&folder, &[1]);
    let key = FileKey::new(&entropy());
    let mut wrapped = Vec::new();
    for number in 0..PEOPLE {
        let person = old.key_or_new(&person(&number.to_string())).await.unwrap();
        wrapped.push(person.wrap("one", &key, &entropy()));
    }
    old.files().erase(&person("59"), OffsetDateTime::UNIX_EPOCH).await.unwrap();
    let both = store(&folder, &[2, 1]);
    let mut told = Vec::new();
    let rotated = both.rotate(|rewrapped| told.push(rewrapped));
    let read = async {
        for (number, wrapped) in wrapped.iter().enumerate().take(59) {
            let person = both.key(&person(&number.to_string())).await.unwrap();
            assert_eq!(person.unwrap("one", wrapped).unwrap().bytes(), key.bytes());
        }
    };
    let (report, ()) = tokio::join!(rotated, read);
    let report = report.unwrap();
    assert_eq!((report.rewrapped, report.failures), (PEOPLE - 1, 0));
    assert_eq!(report.keys, [PersonKeyUse { version: 2, keys: PEOPLE - 1 }]);
    assert_eq!(told.last(), Some(&(PEOPLE - 1)));
    let new = store(&folder, &[2]);
    let person = new.key(&person("0")).await.unwrap();
    assert_eq!(person.unwrap("one", &wrapped[0]).unwrap().bytes(), key.bytes());
    let again = new.rotate(|_| panic!("nothing is left")).await.unwrap();
    assert_eq!((again.rewrapped, again.keys), (0, report.keys));
}

/// CRY-02, CRY-03: a rotation does not bring back the key of a person who is erased meanwhile, and
/// a key that no master key decrypts is named and holds back no other.
#[tokio::test]
async fn cry_02_a_rotation_skips_the_erased_and_names_the_damaged() {
    let folder = TempDir::new().unwrap();
    let lost = store(&folder, &[3]);
    lost.key_or_new(&person("lost")).await.unwrap();
    let old = store(&folder, &[1]);
    for number in 0..10 {
        old.key_or_new(&person(&number.to_string())).await.unwrap();
    }
    let both = store(&folder, &[2, 1]);
    let erase = async {
        for number in 0..10 {
            both.files()
                .erase(&person(&number.to_string()), OffsetDateTime::UNIX_EPOCH)
                .await
                .unwrap();
        }
    };
    let (report, ()) = tokio::join!(both.rotate(|_| ()), erase);
    let report = report.unwrap();
    assert_eq!(report.failures, 1);
    let [failed] = &report.failed[..] else { panic!("{:?}", report.failed) };
    assert!(failed.contains("has no key of version 3"), "{failed}");
    assert!(report.keys.contains(&PersonKeyUse { version: 3, keys: 1 }), "{:?}", report.keys);
    for number in 0..10 {
        let key = both.key(&person(&number.to_string())).await;
        assert!(matches!(key, Err(KeyStoreError::Erased)), "{number}");
    }
}

/// CRY-05: the text of an error or a debug line has no key.
#[tokio::test]
async fn cry_05_errors_and_debug_lines_have_no_key() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder, &[1]);
    store.key_or_new(&person("anna")).await.unwrap();
    let file = only_file(&store);
    let text = std::fs::read_to_string(&file).unwrap().replace("keyVersion", "keyversion");
    std::fs::write(&file, &text).unwrap();
    let error = store.key(&person("anna")).await.err().unwrap();
    let shown = format!("{error} {error:?} {:?}", FileKey::new(&entropy()));
    let key = text.split('"').max_by_key(|part| part.len()).unwrap();
    assert!(!shown.contains(key), "{shown}");
}
