//! The rows of documents. A row and its file exist only together: a file is announced in
//! `DocumentObject` before it is written, and its announcement is deleted in the transaction that
//! adds the row. Called by [`crate::Documents`] and by services, within their transactions.

mod facts;
mod fingerprint;
pub(crate) mod store;

use gx_db::{AdminId, Parsed, PgConnection, ProfileId};
use time::{Date, OffsetDateTime};

use crate::kinds::{DocumentSide, DocumentStatus, DocumentType};

pub use facts::DocumentFacts;
pub(crate) use facts::harmless_file_name;
pub(crate) use fingerprint::{FingerprintRing, Fingerprints};
pub use store::{Duplicate, Usage};

/// What a person says about a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentClaim {
    /// The type.
    pub kind: DocumentType,
    /// The side of a card.
    pub side: Option<DocumentSide>,
    /// The number of the document.
    pub number: Option<String>,
    /// The country that issued it, as a code of `Country`.
    pub issuing_country: Option<String>,
    /// When it was issued.
    pub issued_on: Option<Date>,
    /// When it expires.
    pub expires_on: Option<Date>,
}

/// A document as its row has it. What is encrypted is in [`DocumentFacts`].
#[derive(Clone, Debug)]
pub struct Document {
    /// The id.
    pub document_id: String,
    /// The person.
    pub profile_id: ProfileId,
    /// The type.
    pub kind: DocumentType,
    /// The side of a card.
    pub side: Option<Parsed<DocumentSide>>,
    /// The status.
    pub status: DocumentStatus,
    /// Size of the file, in bytes.
    pub size: i64,
    /// Media type of the file.
    pub mime_type: String,
    /// Number of pages.
    pub page_count: Option<i32>,
    /// The country that issued it.
    pub issuing_country: Option<String>,
    /// When it was issued.
    pub issued_on: Option<Date>,
    /// When it expires.
    pub expires_on: Option<Date>,
    /// When it came in.
    pub uploaded_at: OffsetDateTime,
    /// Whether the scanner found malware in it.
    pub is_infected: bool,
    /// When it was erased.
    pub erased_at: Option<OffsetDateTime>,
    /// The administrator who accepted or rejected it.
    pub reviewed_by: Option<AdminId>,
    /// When it was accepted or rejected.
    pub reviewed_at: Option<OffsetDateTime>,
    /// Why it was rejected, as a code.
    pub reason_code: Option<String>,
    /// What the reviewer says to the person about it.
    pub public_comment: Option<String>,
    pub(crate) storage_key: String,
    pub(crate) wrapped_key: Option<Vec<u8>>,
    pub(crate) facts: Option<Vec<u8>>,
}

/// Returns the documents of a person, in the order of their upload.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn documents(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Vec<Document>, sqlx::Error> {
    store::documents(conn, profile_id).await
}

/// Returns a document of a person, or `None` if the person has no such document.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn document(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    document_id: &str,
) -> Result<Option<Document>, sqlx::Error> {
    store::document(conn, profile_id, document_id).await
}

/// Returns the number of documents of a person and of their bytes, for quotas.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn usage(conn: &mut PgConnection, profile_id: &ProfileId) -> Result<Usage, sqlx::Error> {
    store::usage(conn, profile_id).await
}

/// Sets the status of a document that has the status `from`. Returns whether it had.
///
/// # Errors
/// `sqlx::Error` if the statement fails, or if the transition is not permitted.
pub async fn set_status(
    conn: &mut PgConnection,
    document_id: &str,
    from: DocumentStatus,
    to: DocumentStatus,
) -> Result<bool, sqlx::Error> {
    store::set_status(conn, document_id, from, to).await
}

/// A reviewer's decision on a document.
#[derive(Clone, Copy, Debug)]
pub struct DocumentDecision<'a> {
    /// The new status: accepted or rejected.
    pub status: DocumentStatus,
    /// The administrator who decides.
    pub by: &'a AdminId,
    /// Why, as a code.
    pub reason_code: Option<&'a str>,
    /// What the reviewer says to the person.
    pub public_comment: Option<&'a str>,
}

/// Decides on a document that waits for a reviewer. Returns whether it did.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn decide(
    conn: &mut PgConnection,
    document_id: &str,
    decision: &DocumentDecision<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    store::decisions::decide(conn, document_id, decision, now).await
}

/// Accepts all documents of a person that wait for a reviewer, and returns their ids.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn accept_stored(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    by: &AdminId,
    now: OffsetDateTime,
) -> Result<Vec<String>, sqlx::Error> {
    store::decisions::accept_stored(conn, profile_id, by, now).await
}

/// Deletes a document. Its file is removed by [`crate::Documents::sweep`] after the commit. Returns
/// whether the person had the document.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn remove(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    document_id: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let Some(storage_key) = store::delete(conn, profile_id, document_id).await? else {
        return Ok(false);
    };
    store::objects::announce_removal(conn, profile_id, &storage_key, now).await?;
    Ok(true)
}
