//! Hashes the numbers and contents of documents with the current master key. Called by
//! `gx keys rotate`, after the keys of people.

use gx_auth::KeyRing;
use gx_db::{PgConnection, ProfileId};

use crate::key_store::KeyStore;
use crate::repository::{DocumentFacts, FingerprintRing, store};

/// Limit of the documents that are read at once.
const BATCH: i64 = 200;

/// Number of documents whose hashes have one master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FingerprintUse {
    /// Version of the master key.
    pub version: i32,
    /// Number of documents.
    pub documents: u64,
}

/// Replaces the hashes of older master keys and returns how many documents each key has then. A
/// document whose facts cannot be read keeps its hashes, and its key stays in use.
///
/// # Errors
/// `sqlx::Error` if a statement fails; documents before it keep their new hashes.
pub async fn rotate_fingerprints(
    conn: &mut PgConnection,
    keys: &KeyStore,
    ring: &KeyRing,
) -> Result<Vec<FingerprintUse>, sqlx::Error> {
    let fingerprints = FingerprintRing::new(ring);
    let uses = fingerprint_uses(conn).await?;
    for key in uses.into_iter().filter(|key| key.version != ring.current_version()) {
        let mut after = String::new();
        loop {
            let old = store::old_fingerprints(conn, key.version, &after, BATCH).await?;
            let Some(last) = old.last() else { break };
            after.clone_from(&last.document_id);
            for document in &old {
                let Some(facts) = facts_of(keys, document).await else { continue };
                store::set_fingerprints(conn, document, &fingerprints.of(&facts)).await?;
            }
        }
    }
    fingerprint_uses(conn).await
}

async fn facts_of(keys: &KeyStore, document: &store::OldFingerprints) -> Option<DocumentFacts> {
    let profile_id: &ProfileId = &document.profile_id;
    let key = keys.key(profile_id).await.ok()?;
    DocumentFacts::open_sealed(&document.document_id, &document.facts, &key).ok()
}

/// Returns how many documents have hashes of each master key.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn fingerprint_uses(conn: &mut PgConnection) -> Result<Vec<FingerprintUse>, sqlx::Error> {
    let use_of = |(version, count): (i32, i64)| FingerprintUse {
        version,
        documents: u64::try_from(count).expect("a count is not negative"),
    };
    Ok(store::fingerprints_by_version(conn).await?.into_iter().map(use_of).collect())
}
