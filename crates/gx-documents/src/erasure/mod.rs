//! Erases people: first a record in the document store, then the person's key, then rows and files.
//! Whatever a restored database has forgotten is erased again from the records. Called by `gx
//! erase`, by the retention of documents, and by each start before it serves.

mod retention;
mod store;

use gx_auth::person_erasure::{self, ErasureReadiness, PersonErasure};
use gx_db::{PgConnection, PgPool, ProfileId};
use gx_model::Clock;
use gx_serve::Entropy;

use crate::documents::Documents;
use crate::key_store::{KeyFolder, KeyStoreError, KeyStoreSettings};
use crate::removal::{self, SweepError};
use crate::store::{DocumentStore, DocumentStoreSettings, ErasureRecord, StoreError};

pub use retention::{DocumentRetentionSettings, RetentionStep, count_due_erasures};

/// Limit of the names that are compared with the database at once.
const BATCH: usize = 1_000;

/// Why a person is not erased, or not in every place yet. The same call may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The record cannot be written or read.
    #[error("the record of an erasure cannot be written or read; check GX_DOCUMENT_STORE")]
    Store(#[from] StoreError),
    /// The key cannot be erased.
    #[error("the key of a person cannot be erased; check GX_KEY_STORE")]
    Keys(#[from] KeyStoreError),
    /// A statement failed.
    #[error("an erasure cannot be written to the database; check the database and its log")]
    Database(#[from] sqlx::Error),
    /// The files cannot be removed.
    #[error(
        "the files of erased people are not removed yet; wait for svc-identity, which tries again"
    )]
    Sweep(#[from] SweepError),
    /// There is no such account.
    #[error("there is no account with this id; check the id")]
    NoAccount,
    /// The person was erased before.
    #[error("the person was erased before; nothing is left to do")]
    ErasedBefore,
    /// The account is not closed.
    #[error("the account is not closed; run the command again once it is")]
    NotClosed,
    /// The account is on legal hold. Nothing was erased.
    #[error("the account is on legal hold; end the hold, or leave the person out")]
    OnLegalHold,
}

/// Why a person is to be erased.
#[derive(Clone, Copy, Debug)]
pub struct ErasureOrder<'a> {
    /// A code, such as `REQUESTED`. It stays in the record of the erasure.
    pub reason_code: &'a str,
    /// The words of an operator, for the audit log. `None` if no operator has ordered it.
    pub reason: Option<&'a str>,
}

/// Erases people in the document store, the key store and the database. It needs no master key.
/// Clones share the stores.
#[derive(Clone)]
pub struct Eraser {
    store: DocumentStore,
    keys: KeyFolder,
    clock: Clock,
    entropy: Entropy,
}

impl Eraser {
    /// Opens the two stores.
    ///
    /// # Errors
    /// [`ErasureError`] if a folder cannot be created or opened.
    pub fn open(
        store: &DocumentStoreSettings,
        keys: &KeyStoreSettings,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, ErasureError> {
        let (store, keys) = (DocumentStore::local(store)?, KeyFolder::open(keys)?);
        Ok(Self { store, keys, clock, entropy })
    }

    /// Erases a person whose account is closed and under no legal hold: the record, the key, the
    /// rows of the account and the documents. Files follow by [`Eraser::remove_files`].
    ///
    /// The account is locked meanwhile, so that a legal hold either prevents the erasure or comes
    /// after it. Once the record is written the erasure is final: if this fails after it, the next
    /// start or a repetition completes it, whatever has changed.
    ///
    /// # Errors
    /// [`ErasureError::NoAccount`], [`ErasureError::ErasedBefore`], [`ErasureError::NotClosed`] or
    /// [`ErasureError::OnLegalHold`] if the person may not be erased; the others if a step fails.
    pub async fn erase(
        &self,
        pool: &PgPool,
        profile_id: &ProfileId,
        order: ErasureOrder<'_>,
    ) -> Result<ErasureRecord, ErasureError> {
        let mut tx = pool.begin().await?;
        match person_erasure::lock_for_erasure(&mut tx, profile_id).await? {
            ErasureReadiness::Ready => {}
            ErasureReadiness::NoAccount => return Err(ErasureError::NoAccount),
            ErasureReadiness::ErasedBefore => return Err(ErasureError::ErasedBefore),
            ErasureReadiness::NotClosed => return Err(ErasureError::NotClosed),
            ErasureReadiness::OnHold => return Err(ErasureError::OnLegalHold),
        }
        let record = self.erase_within(&mut tx, profile_id, order).await?;
        tx.commit().await?;
        count_erased(order.reason_code);
        Ok(record)
    }

    /// Erases a person within the caller's transaction, which has checked that it may.
    async fn erase_within(
        &self,
        conn: &mut PgConnection,
        profile_id: &ProfileId,
        order: ErasureOrder<'_>,
    ) -> Result<ErasureRecord, ErasureError> {
        let record = self.erase_key(profile_id, order.reason_code).await?;
        self.erase_rows(conn, &record, order.reason).await?;
        Ok(record)
    }

    /// Records that a person is erased, and destroys the person's key. After it, nothing of the
    /// person's documents can be decrypted, in no backup of database and documents.
    async fn erase_key(
        &self,
        profile_id: &ProfileId,
        reason_code: &str,
    ) -> Result<ErasureRecord, ErasureError> {
        let record = ErasureRecord {
            profile_id: profile_id.clone(),
            erased_at: self.clock.now(),
            reason_code: reason_code.to_owned(),
        };
        let record = self.store.record_erasure(record).await?;
        self.keys.erase(&record.profile_id, record.erased_at).await?;
        Ok(record)
    }

    /// Erases the rows of a person within the caller's transaction: those of the documents, whose
    /// files are announced for removal, and those of the account.
    async fn erase_rows(
        &self,
        conn: &mut PgConnection,
        record: &ErasureRecord,
        reason: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        let now = self.clock.now();
        // Waits for uploads that are being added; later ones find the erasure.
        store::lock_person(conn, &record.profile_id).await?;
        store::insert(conn, record, now).await?;
        let documents = store::erase_documents(conn, &record.profile_id, now).await?;
        let erasure = PersonErasure {
            profile_id: &record.profile_id,
            erased_at: record.erased_at,
            reason_code: &record.reason_code,
            reason,
            documents,
        };
        person_erasure::erase_person(conn, &erasure, &self.entropy, now).await?;
        Ok(())
    }

    /// Erases again what the database lacks of the recorded erasures, and returns the number of
    /// people. Keys that the key store has of erased people, because it was restored, are
    /// destroyed again. A start calls it before it serves.
    ///
    /// # Errors
    /// [`ErasureError`] if a step fails; a repetition does the rest.
    pub async fn replay(&self, pool: &PgPool) -> Result<usize, ErasureError> {
        let missing = self.missing(pool).await?;
        for record in &missing {
            let mut tx = pool.begin().await?;
            self.erase_rows(&mut tx, record, None).await?;
            tx.commit().await?;
            count_erased("REPLAYED");
        }
        Ok(missing.len())
    }

    /// Returns the records of erasures that the database lacks. Destroys the keys of all erased
    /// people that the key store still has.
    async fn missing(&self, pool: &PgPool) -> Result<Vec<ErasureRecord>, ErasureError> {
        let names = self.store.erasure_names().await?;
        let mut missing = Vec::new();
        for batch in names.chunks(BATCH) {
            for name in batch {
                if self.keys.has_key_named(name).await? {
                    let record = self.store.erasure(name).await?;
                    self.keys.erase(&record.profile_id, record.erased_at).await?;
                }
            }
            let unknown = store::unknown(&mut *pool.acquire().await?, batch).await?;
            for name in unknown {
                let record = self.store.erasure(&name).await?;
                // Also marks a person without a key in the key store.
                self.keys.erase(&record.profile_id, record.erased_at).await?;
                missing.push(record);
            }
        }
        Ok(missing)
    }

    /// Removes files that wait for their removal, those of erased people among them, and returns
    /// their number: at most 100.
    ///
    /// # Errors
    /// [`ErasureError`] if a statement fails or a file cannot be removed.
    pub async fn remove_files(&self, pool: &PgPool) -> Result<u64, ErasureError> {
        Ok(removal::remove_waiting(&self.store, pool, self.clock.now()).await?)
    }
}

/// Counts a person who was erased.
fn count_erased(reason_code: &str) {
    metrics::counter!("gx_people_erased_total", "reason" => reason_code.to_owned()).increment(1);
}

impl Documents {
    /// Returns the eraser of the same stores.
    pub fn eraser(&self) -> Eraser {
        Eraser {
            store: self.store.clone(),
            keys: self.keys.files().clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
        }
    }

    /// Erases a person whatever the status of the account, and removes files. A person whose
    /// account is on legal hold is left as it is.
    ///
    /// # Errors
    /// [`ErasureError::OnLegalHold`], or another one if a step fails; a repetition, or the next
    /// start, does the rest then.
    pub async fn erase(
        &self,
        pool: &PgPool,
        profile_id: &ProfileId,
        reason_code: &str,
    ) -> Result<(), ErasureError> {
        let eraser = self.eraser();
        let order = ErasureOrder { reason_code, reason: None };
        let mut tx = pool.begin().await?;
        if store::lock_person(&mut tx, profile_id).await? == Some(true) {
            return Err(ErasureError::OnLegalHold);
        }
        eraser.erase_within(&mut tx, profile_id, order).await?;
        tx.commit().await?;
        eraser.remove_files(pool).await?;
        Ok(())
    }

    /// Does the same as [`Eraser::replay`].
    ///
    /// # Errors
    /// [`ErasureError`] if a step fails; a repetition does the rest.
    pub async fn replay_erasures(&self, pool: &PgPool) -> Result<usize, ErasureError> {
        self.eraser().replay(pool).await
    }
}

/// Returns whether a person was erased.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn is_erased(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<bool, sqlx::Error> {
    store::is_erased(conn, profile_id).await
}
