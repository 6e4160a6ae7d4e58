//! Removes files of the document store whose removal is announced. Called by the sweeper and after
//! an erasure; several processes may do it at once.

use gx_db::PgPool;
use time::OffsetDateTime;

use crate::repository::store::objects;
use crate::store::{DocumentStore, StoreError};

/// Limit of the files that one step removes.
const MAX_REMOVALS: i64 = 100;

/// Why a step ended early.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A statement failed.
    #[error("the sweeper of documents cannot use the database; check the database and its log")]
    Database(#[from] sqlx::Error),
    /// A file cannot be removed.
    #[error("a file cannot be removed from the document store; check GX_DOCUMENT_STORE")]
    Store(#[from] StoreError),
}

/// Removes files that wait for it, those first that wait longest, and returns their number. A file
/// that cannot be removed holds back no other.
///
/// # Errors
/// [`SweepError`] if a statement fails, or if a file cannot be removed, after all others.
pub(crate) async fn remove_waiting(
    store: &DocumentStore,
    pool: &PgPool,
    now: OffsetDateTime,
) -> Result<u64, SweepError> {
    let keys = objects::removals(&mut *pool.acquire().await?, MAX_REMOVALS).await?;
    let (mut removed, mut failed) = (0, None);
    for key in keys {
        match remove(store, pool, &key).await {
            Ok(()) => removed += 1,
            Err(SweepError::Store(error)) => {
                objects::postpone_removal(&mut *pool.acquire().await?, &key, now).await?;
                failed = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(removed),
    }
}

/// Removes a file, and its announcement once the file is gone.
pub(crate) async fn remove(
    store: &DocumentStore,
    pool: &PgPool,
    storage_key: &str,
) -> Result<(), SweepError> {
    store.delete(storage_key).await?;
    objects::end_removal(&mut *pool.acquire().await?, storage_key).await?;
    Ok(())
}
