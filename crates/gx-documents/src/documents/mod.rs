//! The documents of a deployment: stores, keys, scanner and renderer together. Services create one
//! at their start and pass it to their handlers.

mod content;
mod receive;
mod rehash;
mod sweep;

use gx_auth::KeyRing;
use gx_db::PgConnection;
use gx_model::Clock;
use gx_serve::Entropy;

use crate::intake::FileLimits;
use crate::key_store::{KeyStore, KeyStoreError};
use crate::kinds::DocumentStatus;
use crate::repository::{self, Document, DocumentFacts, Duplicate, FingerprintRing};
use crate::scan::Scanner;
use crate::seal::DamagedFile;
use crate::store::DocumentStore;
use crate::view::{PageImage, Renderer, ViewError, Watermark};

pub use content::ContentError;
pub use receive::{CommitError, ReceiveError, Received, Upload};
pub use rehash::{FingerprintUse, fingerprint_uses, rotate_fingerprints};
pub use sweep::{SweepReport, UPLOAD_LIFE};

/// Limit of the duplicates that are returned.
const MAX_DUPLICATES: i64 = 100;

/// What [`Documents`] is made of.
pub struct DocumentParts {
    /// Where sealed files are.
    pub store: DocumentStore,
    /// The keys of people.
    pub keys: KeyStore,
    /// The key ring, for keyed hashes.
    pub ring: KeyRing,
    /// Draws pages.
    pub renderer: Renderer,
    /// The malware scanner. Without one, files are stored as they come.
    pub scanner: Option<Scanner>,
    /// Limits of files.
    pub limits: FileLimits,
    /// The clock.
    pub clock: Clock,
    /// The source of keys and ids.
    pub entropy: Entropy,
}

/// The documents of a deployment. Clones share everything.
#[derive(Clone)]
pub struct Documents {
    pub(crate) store: DocumentStore,
    pub(crate) keys: KeyStore,
    fingerprints: FingerprintRing,
    renderer: Renderer,
    scanner: Option<Scanner>,
    limits: FileLimits,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    /// Whether an upload that is dropped is cleaned up at once. Off in tests of a killed process.
    cleans_up: bool,
    /// The folder of a test, which is removed with the last clone.
    #[cfg(feature = "testing")]
    _folder: Option<std::sync::Arc<tempfile::TempDir>>,
}

/// Why the facts of a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The key of the person cannot be had.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// The facts were changed.
    #[error(transparent)]
    Damaged(#[from] DamagedFile),
    /// A statement failed.
    #[error("the documents cannot be read from the database; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Why a page is not shown.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The document was erased.
    #[error("the document was erased")]
    Erased,
    /// The document is not scanned yet, or infected.
    #[error("the document is held until it is scanned, or infected")]
    Held,
    /// The content cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The page cannot be drawn.
    #[error(transparent)]
    View(#[from] ViewError),
}

impl Documents {
    /// Puts the parts together.
    pub fn new(parts: DocumentParts) -> Self {
        let DocumentParts { store, keys, ring, renderer, scanner, limits, clock, entropy } = parts;
        let fingerprints = FingerprintRing::new(&ring);
        Self {
            store,
            keys,
            fingerprints,
            renderer,
            scanner,
            limits,
            clock,
            entropy,
            cleans_up: true,
            #[cfg(feature = "testing")]
            _folder: None,
        }
    }

    /// Returns these documents with the folder that they are in.
    #[cfg(feature = "testing")]
    pub(crate) fn keeping(self, folder: tempfile::TempDir) -> Self {
        Self { _folder: Some(std::sync::Arc::new(folder)), ..self }
    }

    /// Returns these documents with a scanner.
    #[cfg(feature = "testing")]
    pub(crate) fn with_scanner(self, scanner: Scanner) -> Self {
        Self { scanner: Some(scanner), ..self }
    }

    /// Returns these documents without the clean-up of ended uploads.
    #[cfg(feature = "testing")]
    pub(crate) fn without_clean_up(self) -> Self {
        Self { cleans_up: false, ..self }
    }

    /// Returns the keys of people, for their rotation.
    pub fn keys(&self) -> &KeyStore {
        &self.keys
    }

    /// Returns the renderer, for a probe of its confinement.
    pub fn renderer(&self) -> &Renderer {
        &self.renderer
    }

    /// Returns the scanner, for a check of its health.
    pub fn scanner(&self) -> Option<&Scanner> {
        self.scanner.as_ref()
    }

    /// Decrypts what the person's key encrypts of a document.
    ///
    /// # Errors
    /// [`FactsError`] if the key is missing or the facts were changed.
    pub async fn facts(&self, document: &Document) -> Result<DocumentFacts, FactsError> {
        let key = self.keys.key(&document.profile_id).await?;
        Ok(DocumentFacts::open(document, &key)?)
    }

    /// Decrypts the same of several documents of one person, in their order. A document without a
    /// file has nothing encrypted.
    ///
    /// # Errors
    /// [`FactsError`] if the key is missing or the facts were changed.
    pub async fn facts_of(
        &self,
        documents: &[Document],
    ) -> Result<Vec<Option<DocumentFacts>>, FactsError> {
        let Some(one) = documents.iter().find(|document| document.facts.is_some()) else {
            return Ok(vec![None; documents.len()]);
        };
        let key = self.keys.key(&one.profile_id).await?;
        let open = |document: &Document| match document.facts {
            Some(_) => DocumentFacts::open(document, &key).map(Some),
            None => Ok(None),
        };
        Ok(documents.iter().map(open).collect::<Result<_, DamagedFile>>()?)
    }

    /// Draws a page of a document, which is counted from 1.
    ///
    /// # Errors
    /// [`PageError`] if the document was erased or is held, or there is no such page.
    pub async fn page(
        &self,
        document: &Document,
        number: u32,
        watermark: &Watermark,
    ) -> Result<PageImage, PageError> {
        if document.erased_at.is_some() {
            return Err(PageError::Erased);
        }
        if document.status == DocumentStatus::Quarantined || document.is_infected {
            return Err(PageError::Held);
        }
        let format = content::format_of(document)?;
        let content = self.content(document).await?;
        Ok(self.renderer.page(format, number, watermark, content).await?)
    }

    /// Returns documents of other people with the same file or number: at most 100.
    ///
    /// # Errors
    /// [`FactsError`] if the facts cannot be read or the statement fails.
    pub async fn duplicates(
        &self,
        conn: &mut PgConnection,
        document: &Document,
    ) -> Result<Vec<Duplicate>, FactsError> {
        let facts = self.facts(document).await?;
        let hashes = self.fingerprints.of(&facts);
        let profile_id = &document.profile_id;
        Ok(repository::store::duplicates(conn, profile_id, &hashes, MAX_DUPLICATES).await?)
    }
}
