//! Documents of people, from upload to erasure: taken in as a stream, scanned, sealed with a key of
//! their own, stored, shown as pixels, and forgotten. Knows no HTTP and no review.

mod documents;
mod erasure;
mod format;
mod housekeeping;
mod intake;
pub mod inventory;
mod key_store;
mod kinds;
mod removal;
pub mod repository;
pub mod requests;
mod requirements;
mod scan;
mod seal;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod view;

pub use documents::{
    CommitError, ContentError, DocumentParts, Documents, FactsError, FingerprintUse, PageError,
    ReceiveError, Received, SweepReport, UPLOAD_LIFE, Upload, fingerprint_uses,
    rotate_fingerprints,
};
pub use erasure::{
    DocumentRetentionSettings, Eraser, ErasureError, ErasureOrder, RetentionStep,
    count_due_erasures, is_erased,
};
pub use format::FileFormat;
pub use housekeeping::{Housekeeper, HousekeepingError, HousekeepingReport};
pub use intake::{FileClaim, FileFacts, FileLimits, Inspector, Refusal};
pub use key_store::{
    KeyFolder, KeyStore, KeyStoreError, KeyStoreSettings, PersonKey, PersonKeyReport, PersonKeyUse,
};
pub use kinds::{DocumentSide, DocumentStatus, DocumentType};
pub use removal::SweepError;
pub use requirements::{MissingDocument, RequiredDocuments, RequiredDocumentsError};
pub use scan::{ScanError, Scanner, ScannerAddress, ScannerSettings, Verdict};
pub use seal::{CHUNK_BYTES, DamagedFile, Decryptor, Encryptor, FileKey, sealed_bytes};
#[cfg(feature = "s3")]
pub use store::S3Settings;
pub use store::{DocumentStore, DocumentStoreSettings, ErasureRecord, ObjectWriter, StoreError};
pub use view::{
    Confinement, PAGE_MIME_TYPE, PageImage, PdfFacts, RenderProgram, Renderer, ViewError,
    ViewSettings, Watermark, render_page,
};
