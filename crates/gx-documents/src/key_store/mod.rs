//! The keys of people, in a folder apart from the database, so that a backup of the database and of
//! the documents contains no key of a person. Called by the intake, the repository and `gx keys
//! rotate`.
//!
//! A file per person has the person's key, encrypted by the key ring. Erasing a person replaces the
//! file by a mark without a key, and no key is created for that person again. Every change is on
//! disk before its function returns. Replicas share the folder; a file lock in each subfolder
//! orders their changes.

mod folder;
mod key_folder;
mod person_key;
mod rotation;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use gx_auth::KeyRing;
use gx_auth::key_ring::{DecryptError, EncryptedValue, Place};
use gx_db::ProfileId;
use gx_serve::Entropy;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use folder::Entry;

pub use key_folder::KeyFolder;
pub use person_key::PersonKey;
pub use rotation::{PersonKeyReport, PersonKeyUse};

/// Where the keys of people are.
#[derive(Clone, Debug, clap::Args)]
pub struct KeyStoreSettings {
    /// Folder with the keys of people, apart from the database and the documents and with backups
    /// of its own.
    #[arg(long, env = "GX_KEY_STORE")]
    pub key_store: PathBuf,
}

/// Why the key of a person cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The folder cannot be read or written.
    #[error(
        "the key store `{path}` cannot be read or written; check GX_KEY_STORE and the permissions"
    )]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A file of the key store has another form.
    #[error("`{path}` is not a file of the key store; restore it from the key store's backup")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The key ring does not decrypt the key.
    #[error("the key of a person cannot be decrypted")]
    Decrypt(#[from] DecryptError),
    /// The person was erased.
    #[error("the person was erased, and the key with them")]
    Erased,
    /// The key store has no key of the person.
    #[error("the key store has no key of this person; restore it from the key store's backup")]
    Missing,
}

/// The keys of people. Clones share the folder.
#[derive(Clone)]
pub struct KeyStore {
    files: KeyFolder,
    ring: KeyRing,
    entropy: Entropy,
}

/// Returns the place of a person's key: the associated data of its encryption.
fn place(profile_id: &ProfileId) -> Place<'_> {
    Place { table: "PersonKey", row: profile_id.as_str(), field: "key" }
}

impl KeyStore {
    /// Opens the key store and creates its folder if there is none.
    ///
    /// # Errors
    /// [`KeyStoreError::Folder`] if the folder cannot be created.
    pub fn open(
        settings: &KeyStoreSettings,
        ring: KeyRing,
        entropy: Entropy,
    ) -> Result<Self, KeyStoreError> {
        Ok(Self { files: KeyFolder::open(settings)?, ring, entropy })
    }

    /// Returns the files of the key store, for erasures.
    pub fn files(&self) -> &KeyFolder {
        &self.files
    }

    /// Returns the key of a person.
    ///
    /// # Errors
    /// [`KeyStoreError::Erased`] or [`KeyStoreError::Missing`] if there is none, and the others if
    /// it cannot be read.
    pub async fn key(&self, profile_id: &ProfileId) -> Result<PersonKey, KeyStoreError> {
        let id = profile_id.clone();
        let entry = self.files.blocking(move |folder| folder.read(&id)).await?;
        self.open_entry(profile_id, entry.ok_or(KeyStoreError::Missing)?)
    }

    /// Returns the key of a person, and creates it if there is none.
    ///
    /// # Errors
    /// [`KeyStoreError::Erased`] if the person was erased, and the others if the key cannot be read
    /// or written.
    pub async fn key_or_new(&self, profile_id: &ProfileId) -> Result<PersonKey, KeyStoreError> {
        let id = profile_id.clone();
        if let Some(entry) = self.files.blocking(move |folder| folder.read(&id)).await? {
            return self.open_entry(profile_id, entry);
        }
        let key = Zeroizing::new(self.entropy.bytes::<32>());
        let new = Entry::Key(self.ring.encrypt(place(profile_id), &*key));
        let id = profile_id.clone();
        let entry = self
            .files
            .blocking(move |folder| {
                let locked = folder.lock(&id)?;
                // Another replica may have created the key meanwhile.
                if let Some(entry) = locked.read(&id)? {
                    return Ok(entry);
                }
                locked.write(&id, &new)?;
                Ok(new)
            })
            .await?;
        self.open_entry(profile_id, entry)
    }

    fn open_entry(&self, profile_id: &ProfileId, entry: Entry) -> Result<PersonKey, KeyStoreError> {
        match entry {
            Entry::Erased { .. } => Err(KeyStoreError::Erased),
            Entry::Key(value) => self.decrypt(profile_id, &value),
        }
    }

    fn decrypt(
        &self,
        profile_id: &ProfileId,
        value: &EncryptedValue,
    ) -> Result<PersonKey, KeyStoreError> {
        let key = self.ring.decrypt(place(profile_id), value)?;
        Ok(PersonKey::derive(key.expose_secret()))
    }
}
