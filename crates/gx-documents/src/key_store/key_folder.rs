//! What of the key store needs no master key: erasing. Called by the eraser, also in commands that
//! have no master keys.

use std::sync::Arc;

use gx_db::ProfileId;
use time::OffsetDateTime;

use super::folder::{Entry, Folder};
use super::{KeyStoreError, KeyStoreSettings};

/// The files of the key store. Clones share the folder.
#[derive(Clone, Debug)]
pub struct KeyFolder(pub(super) Arc<Folder>);

impl KeyFolder {
    /// Opens the key store and creates its folder if there is none.
    ///
    /// # Errors
    /// [`KeyStoreError::Folder`] if the folder cannot be created.
    pub fn open(settings: &KeyStoreSettings) -> Result<Self, KeyStoreError> {
        Ok(Self(Arc::new(Folder::open(&settings.key_store)?)))
    }

    /// Erases the key of a person for good. Returns whether there was a key.
    ///
    /// # Errors
    /// [`KeyStoreError`] if the key store cannot be read or written.
    pub async fn erase(
        &self,
        profile_id: &ProfileId,
        now: OffsetDateTime,
    ) -> Result<bool, KeyStoreError> {
        let id = profile_id.clone();
        let erased_at = now.unix_timestamp();
        self.blocking(move |folder| {
            let locked = folder.lock(&id)?;
            // A file that cannot be read is replaced, too.
            let had_key = match locked.read(&id) {
                Ok(Some(Entry::Erased { .. })) => return Ok(false),
                Ok(None) => false,
                Ok(Some(Entry::Key(_))) | Err(_) => true,
            };
            locked.write(&id, &Entry::Erased { erased_at })?;
            Ok(had_key)
        })
        .await
    }

    /// Returns whether there is a key under a name, which is the hash of a person's id and also the
    /// name of the record of an erasure.
    ///
    /// # Errors
    /// [`KeyStoreError`] if the key store cannot be read.
    pub async fn has_key_named(&self, name: &str) -> Result<bool, KeyStoreError> {
        let name = name.to_owned();
        self.blocking(move |folder| folder.has_key_named(&name)).await
    }

    /// Runs `work` where it may wait for the disk.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, KeyStoreError> + Send + 'static,
    ) -> Result<T, KeyStoreError> {
        let folder = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        done.expect("work on the key store does not panic")
    }
}
