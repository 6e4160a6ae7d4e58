//! Documents and duplicates as lists show them.

use gx_db::{AdminId, Parsed, ProfileId};
use gx_documents::repository::{Document, DocumentFacts, Duplicate};
use gx_documents::{DocumentSide, DocumentStatus, DocumentType, FactsError, KeyStoreError};
use gx_serve::problem::ErrorChain;
use serde::Serialize;
use time::{Date, OffsetDateTime};
use utoipa::ToSchema;

use crate::ServiceState;

time::serde::format_description!(day, Date, "[year]-[month]-[day]");

/// What is encrypted of a document, for those who may open it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FactsItem {
    /// The number of the document, or `null` if the person gave none.
    #[schema(required, example = "A12345678")]
    document_number: Option<String>,
    /// The name of the file, with harmless characters only.
    #[schema(required, example = "passport.jpg")]
    file_name: Option<String>,
    /// SHA-256 of the file.
    #[schema(example = "9f86d081884c7d65…")]
    sha256: String,
}

impl From<DocumentFacts> for FactsItem {
    fn from(facts: DocumentFacts) -> Self {
        let DocumentFacts { sha256, number, file_name } = facts;
        Self { document_number: number, file_name, sha256 }
    }
}

/// A document of a person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentItem {
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) document_id: String,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "PASSPORT")]
    kind: DocumentType,
    /// `front` or `back` of a card.
    #[schema(required, value_type = Option<String>, example = "front")]
    side: Option<DocumentSide>,
    /// QUARANTINED, STORED, ACCEPTED or REJECTED.
    #[schema(value_type = String, example = "STORED")]
    status: DocumentStatus,
    /// Whether the scanner found malware in it.
    is_infected: bool,
    size: i64,
    #[schema(example = "image/jpeg")]
    mime_type: String,
    #[schema(required)]
    page_count: Option<i32>,
    #[schema(required, example = "MY")]
    issuing_country: Option<String>,
    #[serde(with = "day::option")]
    #[schema(required, value_type = Option<String>, format = "date")]
    issued_date: Option<Date>,
    #[serde(with = "day::option")]
    #[schema(required, value_type = Option<String>, format = "date")]
    expiry_date: Option<Date>,
    #[serde(with = "gx_serve::moment")]
    pub(crate) uploaded_at: OffsetDateTime,
    /// When the content was erased, or `null`.
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    erased_at: Option<OffsetDateTime>,
    #[schema(required, value_type = Option<String>)]
    reviewed_by: Option<AdminId>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    reviewed_at: Option<OffsetDateTime>,
    #[schema(required, example = "DOCUMENT_UNREADABLE")]
    reason_code: Option<String>,
    #[schema(required)]
    public_comment: Option<String>,
    /// `null` for an AUDITOR, for an erased document, and while the person's key cannot be read.
    #[schema(required)]
    facts: Option<FactsItem>,
}

impl DocumentItem {
    pub(super) fn new(document: Document, facts: Option<FactsItem>) -> Self {
        Self {
            document_id: document.document_id,
            kind: document.kind,
            side: document.side.map(|Parsed(side)| side),
            status: document.status,
            is_infected: document.is_infected,
            size: document.size,
            mime_type: document.mime_type,
            page_count: document.page_count,
            issuing_country: document.issuing_country,
            issued_date: document.issued_on,
            expiry_date: document.expires_on,
            uploaded_at: document.uploaded_at,
            erased_at: document.erased_at,
            reviewed_by: document.reviewed_by,
            reviewed_at: document.reviewed_at,
            reason_code: document.reason_code,
            public_comment: document.public_comment,
            facts,
        }
    }

    /// Returns the place in the list.
    pub(crate) fn key(&self) -> (i64, String) {
        let millis = self.uploaded_at.unix_timestamp_nanos() / 1_000_000;
        let millis = i64::try_from(millis).expect("PostgreSQL's times fit");
        (millis, self.document_id.clone())
    }
}

/// Decrypts what is encrypted of a document. The list must be readable without the keys, too.
pub(super) async fn facts(state: &ServiceState, document: &Document) -> Option<FactsItem> {
    if document.erased_at.is_some() {
        return None;
    }
    match state.documents.facts(document).await {
        Ok(facts) => Some(facts.into()),
        Err(FactsError::Keys(KeyStoreError::Erased)) => None,
        Err(error) => {
            tracing::warn!(
                document = document.document_id,
                error = %ErrorChain(&error),
                "the facts of the document {} cannot be read",
                document.document_id
            );
            None
        }
    }
}

/// A document of another person that is the same.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DuplicateItem {
    /// The document of this person.
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    document_id: String,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "PASSPORT")]
    kind: DocumentType,
    /// profileId of the other person.
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e92")]
    other_profile_id: ProfileId,
    /// The document of the other person.
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e93")]
    other_document_id: String,
    is_same_file: bool,
    is_same_number: bool,
}

impl DuplicateItem {
    pub(super) fn new(document: &Document, other: Duplicate) -> Self {
        Self {
            document_id: document.document_id.clone(),
            kind: document.kind,
            other_profile_id: other.profile_id,
            other_document_id: other.document_id,
            is_same_file: other.is_same_file,
            is_same_number: other.is_same_number,
        }
    }

    /// Returns the place in the list.
    pub(crate) fn key(&self) -> (String, String) {
        (self.document_id.clone(), self.other_document_id.clone())
    }
}
