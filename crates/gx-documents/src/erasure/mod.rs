//! Erases people: first a record in the document store, then the person's key, then rows and files.
//! Whatever a restored database has forgotten is erased again from the records. Called by services,
//! by `gx retention run`, and by each start before it serves.

mod store;

use gx_db::{PgConnection, PgPool, ProfileId};
use time::OffsetDateTime;

use crate::documents::{Documents, SweepError};
use crate::key_store::KeyStoreError;
use crate::store::{ErasureRecord, StoreError};

pub use store::ClosedPerson;

/// Limit of the names that are compared with the database at once.
const BATCH: usize = 1_000;

/// Why a person is not erased, or not in every place yet. The same call may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The record cannot be written or read.
    #[error("the record of an erasure cannot be written or read")]
    Store(#[from] StoreError),
    /// The key cannot be erased.
    #[error("the key of a person cannot be erased")]
    Keys(#[from] KeyStoreError),
    /// A statement failed.
    #[error("an erasure cannot be written to the database; check the database and its log")]
    Database(#[from] sqlx::Error),
    /// The account is on legal hold. Nothing was erased.
    #[error("the account is on legal hold; end the hold, or leave the person out")]
    OnLegalHold,
    /// The files cannot be removed.
    #[error("the files of an erased person are not removed yet")]
    Sweep(#[from] SweepError),
}

impl Documents {
    /// Records that a person is erased, and destroys the person's key. After it, nothing of the
    /// person's documents can be decrypted, in no backup. Rows follow by [`Documents::erase_rows`].
    /// The caller has made sure that the account is not on legal hold.
    ///
    /// # Errors
    /// [`ErasureError`] if the record or the key cannot be written.
    pub async fn erase_key(
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

    /// Erases a person: the record, the key, the rows of documents and their files. A person whose
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
        let mut tx = pool.begin().await?;
        // The row stays locked, so that a hold comes before the erasure or after it.
        if store::lock_person(&mut tx, profile_id).await? == Some(true) {
            return Err(ErasureError::OnLegalHold);
        }
        let record = self.erase_key(profile_id, reason_code).await?;
        self.erase_rows(&mut tx, &record).await?;
        tx.commit().await?;
        self.sweep(pool).await?;
        Ok(())
    }

    /// Erases the rows of a person's documents within the caller's transaction, which may erase
    /// more of the person. Files are removed by [`Documents::sweep`] after the commit. Returns
    /// `false` if the database knew the erasure already.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails.
    pub async fn erase_rows(
        &self,
        conn: &mut PgConnection,
        record: &ErasureRecord,
    ) -> Result<bool, sqlx::Error> {
        let now = self.clock.now();
        let is_new = store::insert(conn, record, now).await?;
        store::erase_documents(conn, &record.profile_id, now).await?;
        Ok(is_new)
    }

    /// Returns the records of erasures that the database lacks. Keys that the key store has of
    /// erased people, because it was restored, too, are destroyed again. The caller erases the rows
    /// of each person and serves only then.
    ///
    /// # Errors
    /// [`ErasureError`] if a record cannot be read or a key not be erased.
    pub async fn missing_erasures(
        &self,
        pool: &PgPool,
    ) -> Result<Vec<ErasureRecord>, ErasureError> {
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
                // Also marks a person of whom the key store has nothing.
                self.keys.erase(&record.profile_id, record.erased_at).await?;
                missing.push(record);
            }
        }
        Ok(missing)
    }

    /// Erases again what the database lacks, and returns the number of people.
    ///
    /// # Errors
    /// [`ErasureError`] if a step fails; a repetition does the rest.
    pub async fn replay_erasures(&self, pool: &PgPool) -> Result<usize, ErasureError> {
        let missing = self.missing_erasures(pool).await?;
        for record in &missing {
            let mut tx = pool.begin().await?;
            self.erase_rows(&mut tx, record).await?;
            tx.commit().await?;
        }
        Ok(missing.len())
    }
}

/// Returns people whose accounts were closed until then, and whose documents may be erased: they are
/// neither erased nor on legal hold. `after` is the last one of the call before.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn closed_people(
    conn: &mut PgConnection,
    until: OffsetDateTime,
    after: Option<&ClosedPerson>,
    limit: i64,
) -> Result<Vec<ClosedPerson>, sqlx::Error> {
    store::closed_people(conn, until, after, limit).await
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
