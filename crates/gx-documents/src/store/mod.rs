//! Where sealed files and the records of erasures are: a folder, or an S3-compatible store. Called
//! by the intake and the repository.
//!
//! `documents/` has sealed files under generated names, `erasures/` one small object for each
//! erased person. What a function reports as written or deleted is on disk: `object_store` syncs
//! files and folders that it writes, and this module the folders that it deletes from.

mod erasure;
mod local;
#[cfg(feature = "s3")]
mod s3;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart};

use local::LocalFolder;

pub use erasure::ErasureRecord;
pub(crate) use erasure::record_name;
#[cfg(feature = "s3")]
pub use s3::S3Settings;

/// Prefix of sealed files.
const DOCUMENTS: &str = "documents";
/// Size of the parts that a folder is written in, in bytes.
const LOCAL_PART_BYTES: usize = 64 * 1024;
/// Length of the names of subfolders, in hexadecimal digits: 4 096 subfolders.
const SHARD_DIGITS: usize = 3;

/// Where documents are stored.
#[derive(Clone, Debug, clap::Args)]
pub struct DocumentStoreSettings {
    /// Folder with the sealed documents and the records of erasures.
    #[arg(long, env = "GX_DOCUMENT_STORE")]
    pub document_store: PathBuf,
}

/// Why an object cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object store failed.
    #[error("the document store cannot be read or written; check GX_DOCUMENT_STORE and its log")]
    Object(#[from] object_store::Error),
    /// A folder of the document store failed.
    #[error("`{path}` cannot be written; check GX_DOCUMENT_STORE and the permissions")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The record of an erasure has another form.
    #[error("`{name}` is not the record of an erasure; restore it from a backup")]
    ErasureForm {
        /// Name of the object.
        name: String,
    },
}

impl StoreError {
    /// Returns whether there is no such object.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Object(object_store::Error::NotFound { .. }))
    }
}

/// The store of documents. Clones share it.
#[derive(Clone, Debug)]
pub struct DocumentStore {
    objects: Arc<dyn ObjectStore>,
    local: Option<LocalFolder>,
    part_bytes: usize,
}

/// Returns the name under which the sealed file of a document is stored.
pub(crate) fn storage_key(document_id: &str) -> String {
    // The end of a UUIDv7 is random.
    let tail = document_id.len().saturating_sub(SHARD_DIGITS);
    format!("{DOCUMENTS}/{}/{document_id}", document_id.get(tail..).unwrap_or("000"))
}

/// A sealed file that is being written. It has no name until it is complete; if it is dropped,
/// nothing is left.
pub struct ObjectWriter(WriteMultipart);

impl ObjectWriter {
    /// Takes the next bytes, and waits until the bytes before them are written.
    ///
    /// # Errors
    /// [`StoreError::Object`] if bytes cannot be written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.wait_for_capacity(1).await?;
        self.0.write(bytes);
        Ok(())
    }

    /// Gives the object its name, once all bytes are on disk.
    ///
    /// # Errors
    /// [`StoreError::Object`] if bytes or the name cannot be written; there is no object then.
    pub async fn complete(self) -> Result<(), StoreError> {
        self.0.finish().await?;
        Ok(())
    }

    /// Removes what was written.
    ///
    /// # Errors
    /// [`StoreError::Object`] if the store fails.
    pub async fn abort(self) -> Result<(), StoreError> {
        self.0.abort().await?;
        Ok(())
    }
}

impl DocumentStore {
    /// Opens a store in a folder, and creates the folder if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be created or opened.
    pub fn local(settings: &DocumentStoreSettings) -> Result<Self, StoreError> {
        let local = LocalFolder::open(&settings.document_store)?;
        let objects = Arc::new(local.objects()?);
        Ok(Self { objects, local: Some(local), part_bytes: LOCAL_PART_BYTES })
    }

    /// Starts to write an object.
    ///
    /// # Errors
    /// [`StoreError::Object`] if the store fails.
    pub async fn writer(&self, key: &str) -> Result<ObjectWriter, StoreError> {
        let upload = self.objects.put_multipart(&Path::from(key)).await?;
        Ok(ObjectWriter(WriteMultipart::new_with_chunk_size(upload, self.part_bytes)))
    }

    /// Returns the bytes of an object as a stream.
    ///
    /// # Errors
    /// [`StoreError::Object`] if there is no such object or the store fails.
    pub async fn read(
        &self,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let found = self.objects.get(&Path::from(key)).await?;
        Ok(found.into_stream().map_err(StoreError::from).boxed())
    }

    /// Deletes an object and what an interrupted write of it has left. A repetition succeeds.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = Path::from(key);
        match self.objects.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(local) = &self.local {
            local.clean_up(&path).await?;
        }
        Ok(())
    }

    /// Returns the names of all sealed files. Operators and tests compare them with the rows.
    ///
    /// # Errors
    /// [`StoreError::Object`] if the store fails.
    pub async fn document_keys(&self) -> Result<Vec<String>, StoreError> {
        let prefix = Path::from(DOCUMENTS);
        let found: Vec<_> = self.objects.list(Some(&prefix)).try_collect().await?;
        let mut keys: Vec<String> =
            found.into_iter().map(|object| object.location.to_string()).collect();
        keys.sort();
        Ok(keys)
    }
}
