//! Reads the content of a document.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::format::FileFormat;
use crate::key_store::KeyStoreError;
use crate::repository::Document;
use crate::seal::{DamagedFile, Decryptor, FileKey};
use crate::store::{DocumentStore, StoreError};

use super::Documents;

/// Why the content of a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The document was erased, or never had a file.
    #[error("the document has no file")]
    Erased,
    /// The key of the person cannot be had.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// The file cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file was changed.
    #[error(transparent)]
    Damaged(#[from] DamagedFile),
}

/// Plaintext of a document, piece by piece.
pub(super) type ContentStream = BoxStream<'static, Result<Bytes, ContentError>>;

pub(super) fn format_of(document: &Document) -> Result<FileFormat, ContentError> {
    FileFormat::of_mime_type(&document.mime_type).ok_or(ContentError::Erased)
}

impl Documents {
    /// Returns the content of a document as a stream. The whole file is checked before: a file that
    /// was changed gives an error and no content at all.
    ///
    /// # Errors
    /// [`ContentError`] if the document was erased, or the file is missing or was changed.
    pub async fn content(
        &self,
        document: &Document,
    ) -> Result<BoxStream<'static, Result<Bytes, ContentError>>, ContentError> {
        let wrapped = document.wrapped_key.as_ref().ok_or(ContentError::Erased)?;
        let person = self.keys.key(&document.profile_id).await?;
        let key = person.unwrap(&document.document_id, wrapped)?;
        let checked = open(&self.store, &document.storage_key, &key, &document.document_id).await?;
        checked.try_for_each(|_| std::future::ready(Ok(()))).await?;
        open(&self.store, &document.storage_key, &key, &document.document_id).await
    }
}

/// Opens a sealed file. Each piece of the stream is authentic; an error may follow it.
pub(super) async fn open(
    store: &DocumentStore,
    storage_key: &str,
    key: &FileKey,
    document_id: &str,
) -> Result<ContentStream, ContentError> {
    let sealed = store.read(storage_key).await?;
    let decryptor = Decryptor::new(key.clone(), document_id);
    let pieces = futures_util::stream::try_unfold(
        (sealed, Some(decryptor)),
        |(mut sealed, decryptor)| async move {
            let Some(mut decryptor) = decryptor else {
                return Ok::<_, ContentError>(None);
            };
            let mut plain = Vec::new();
            loop {
                match sealed.next().await {
                    Some(piece) => decryptor.push(&piece?, &mut plain)?,
                    None => {
                        decryptor.finish(&mut plain)?;
                        return Ok(Some((Bytes::from(plain), (sealed, None))));
                    }
                }
                if !plain.is_empty() {
                    return Ok(Some((Bytes::from(plain), (sealed, Some(decryptor)))));
                }
            }
        },
    );
    Ok(pieces.boxed())
}
