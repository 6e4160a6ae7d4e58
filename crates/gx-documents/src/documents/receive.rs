//! Takes a file in: looks at it and seals it while it comes, then looks into a PDF and asks the
//! scanner. The row is added by the caller's transaction.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use gx_db::{PgConnection, PgPool, ProfileId};

use crate::format::FileFormat;
use crate::intake::{FileClaim, FileFacts, Inspector, Refusal};
use crate::key_store::{KeyStoreError, PersonKey};
use crate::kinds::DocumentStatus;
use crate::repository::store::{self, NewDocument};
use crate::repository::{DocumentClaim, DocumentFacts, harmless_file_name};
use crate::scan::Verdict;
use crate::seal::{Encryptor, FileKey};
use crate::store::{StoreError, storage_key};
use crate::view::ViewError;

use super::content::{self, ContentError};
use super::{Documents, sweep};

/// A file that comes in.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The person.
    pub profile_id: ProfileId,
    /// What the person says about the document.
    pub document: DocumentClaim,
    /// What the client says about the file.
    pub file: FileClaim,
}

/// Why a file is not taken in. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The file is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The client ended the file early, or was too slow.
    #[error("the file did not come whole")]
    Upload(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key of the person cannot be had.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// The file cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored file cannot be read again.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The file cannot be looked into.
    #[error(transparent)]
    View(ViewError),
    /// A statement failed.
    #[error("an upload cannot be written to the database; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Why a document is not added.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The upload took too long, or the person was erased meanwhile; its file is removed.
    #[error("the upload has ended; upload the file again")]
    Ended,
    /// A statement failed.
    #[error("a document cannot be written to the database; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// A file that is stored and whose document is not added yet. If it is dropped before
/// [`Documents::commit`] and the commit of that transaction, its file is removed.
pub struct Received {
    /// The id of the document.
    pub document_id: String,
    /// The status that the document will have.
    pub status: DocumentStatus,
    /// Format, size and hash of the file.
    pub file: FileFacts,
    /// Number of pages.
    pub page_count: u32,
    facts: DocumentFacts,
    sealed_facts: Vec<u8>,
    wrapped_key: Vec<u8>,
    is_scanned: bool,
    upload: Upload,
    object: UploadedObject,
}

/// The object of an upload, which is removed when this is dropped, unless its document was added.
struct UploadedObject {
    documents: Documents,
    pool: PgPool,
    storage_key: String,
}

impl Drop for UploadedObject {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.documents.cleans_up {
            return;
        }
        let (documents, pool) = (self.documents.clone(), self.pool.clone());
        let storage_key = std::mem::take(&mut self.storage_key);
        // The database says whether the document was added: then nothing is removed.
        runtime.spawn(async move {
            if let Err(error) = sweep::give_up(&documents, &pool, &storage_key).await {
                tracing::warn!(
                    error = %gx_serve::problem::ErrorChain(&error),
                    "an ended upload is not removed yet; the sweeper removes it"
                );
            }
        });
    }
}

impl Documents {
    /// Takes a file in and stores it sealed.
    ///
    /// # Errors
    /// [`ReceiveError`] if the file is refused or cannot be stored.
    pub async fn receive<E>(
        &self,
        pool: &PgPool,
        upload: Upload,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Received, ReceiveError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let now = self.clock.now();
        let document_id = self.entropy.id(now).to_string();
        let storage_key = storage_key(&document_id);
        let person = self.keys.key_or_new(&upload.profile_id).await?;
        let file_key = FileKey::new(&self.entropy);
        {
            let mut conn = pool.acquire().await?;
            store::objects::announce_upload(&mut conn, &upload.profile_id, &storage_key, now)
                .await?;
        }
        let object = UploadedObject { documents: self.clone(), pool: pool.clone(), storage_key };
        let file = self.store_sealed(&object, &upload, &document_id, &file_key, content).await?;
        let page_count = self.count_pages(&object, &document_id, &file_key, file.format).await?;
        let is_scanned = self.scan(&object, &document_id, &file_key).await?;
        let is_held = self.scanner.is_some() && !is_scanned;
        let status = if is_held { DocumentStatus::Quarantined } else { DocumentStatus::Stored };
        Ok(self.received(
            object,
            upload,
            document_id,
            &person,
            &file_key,
            (file, page_count, status, is_scanned),
        ))
    }

    /// Adds the document of a stored file within the caller's transaction.
    ///
    /// # Errors
    /// [`CommitError::Ended`] if the file is no longer there.
    pub async fn commit(
        &self,
        conn: &mut PgConnection,
        received: &Received,
    ) -> Result<(), CommitError> {
        store::lock_against_erasure(conn, &received.upload.profile_id).await?;
        if !store::objects::end_upload(conn, &received.object.storage_key).await? {
            return Err(CommitError::Ended);
        }
        let now = self.clock.now();
        let new = NewDocument {
            document_id: &received.document_id,
            profile_id: &received.upload.profile_id,
            claim: &received.upload.document,
            status: received.status,
            fingerprints: &self.fingerprints.of(&received.facts),
            size: i64::try_from(received.file.size).expect("a file is below the limit"),
            mime_type: received.file.format.mime_type(),
            page_count: i32::try_from(received.page_count).expect("pages are below the limit"),
            storage_key: &received.object.storage_key,
            wrapped_key: &received.wrapped_key,
            facts: &received.sealed_facts,
            scanned_at: received.is_scanned.then_some(now),
            now,
        };
        store::insert(conn, &new).await?;
        Ok(())
    }

    /// Looks at the content and seals it while it comes.
    async fn store_sealed<E>(
        &self,
        object: &UploadedObject,
        upload: &Upload,
        document_id: &str,
        key: &FileKey,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<FileFacts, ReceiveError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let mut inspector = Inspector::new(self.limits, upload.file.clone());
        let mut encryptor = Encryptor::new(key, document_id, &self.entropy);
        let mut writer = self.store.writer(&object.storage_key).await?;
        let mut sealed = Vec::new();
        let mut content = std::pin::pin!(content);
        let inspected = loop {
            match content.next().await {
                Some(Ok(piece)) => {
                    if let Err(refusal) = inspector.push(&piece) {
                        break Err(ReceiveError::Refused(refusal));
                    }
                    encryptor.push(&piece, &mut sealed);
                    if !sealed.is_empty() {
                        writer.write(&sealed).await?;
                        sealed.clear();
                    }
                }
                Some(Err(error)) => break Err(ReceiveError::Upload(error.into())),
                None => break inspector.finish().map_err(ReceiveError::from),
            }
        };
        match inspected {
            Ok(file) => {
                encryptor.finish(&mut sealed);
                writer.write(&sealed).await?;
                writer.complete().await?;
                Ok(file)
            }
            Err(error) => {
                writer.abort().await?;
                Err(error)
            }
        }
    }

    /// Returns the number of pages of a stored file.
    async fn count_pages(
        &self,
        object: &UploadedObject,
        document_id: &str,
        key: &FileKey,
        format: FileFormat,
    ) -> Result<u32, ReceiveError> {
        if format != FileFormat::Pdf {
            return Ok(1);
        }
        let content = content::open(&self.store, &object.storage_key, key, document_id).await?;
        match self.renderer.inspect_pdf(content).await {
            Ok(facts) => Ok(facts.pages),
            Err(ViewError::Refused(refusal)) => Err(refusal.into()),
            // A PDF that stops or crashes the process that reads it is one that nobody can look at.
            Err(ViewError::Crashed { .. } | ViewError::Timeout(_)) => {
                Err(Refusal::Malformed { format, reason: "it cannot be read" }.into())
            }
            Err(error) => Err(ReceiveError::View(error)),
        }
    }

    /// Asks the scanner about a stored file. Returns whether it is scanned and clean.
    async fn scan(
        &self,
        object: &UploadedObject,
        document_id: &str,
        key: &FileKey,
    ) -> Result<bool, ReceiveError> {
        let Some(scanner) = &self.scanner else { return Ok(false) };
        let content = content::open(&self.store, &object.storage_key, key, document_id).await?;
        match scanner.scan(content).await {
            Ok(Verdict::Clean) => Ok(true),
            Ok(Verdict::Infected { name }) => {
                tracing::warn!(malware = %name, "an upload is infected and was refused");
                Err(Refusal::Infected.into())
            }
            Err(error) => {
                tracing::error!(
                    error = %gx_serve::problem::ErrorChain(&error),
                    "an upload is held because the malware scanner gave no verdict; check clamd"
                );
                Ok(false)
            }
        }
    }

    fn received(
        &self,
        object: UploadedObject,
        upload: Upload,
        document_id: String,
        person: &PersonKey,
        key: &FileKey,
        (file, page_count, status, is_scanned): (FileFacts, u32, DocumentStatus, bool),
    ) -> Received {
        let facts = DocumentFacts {
            sha256: hex::encode(file.sha256),
            number: upload.document.number.clone(),
            file_name: upload.file.file_name.as_deref().and_then(harmless_file_name),
        };
        Received {
            sealed_facts: facts.seal(&document_id, person, &self.entropy),
            wrapped_key: person.wrap(&document_id, key, &self.entropy),
            document_id,
            status,
            file,
            page_count,
            facts,
            is_scanned,
            upload,
            object,
        }
    }
}
