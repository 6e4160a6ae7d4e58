//! A document as its person reads it.

use gx_documents::repository::{Document, DocumentFacts};
use gx_documents::requests::DocumentRequest;
use gx_documents::{DocumentSide, DocumentStatus, DocumentType};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Reason code of a document in which the scanner has found malware.
const INFECTED: &str = "INFECTED";

/// A document that a person has handed in.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentItem {
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) document_id: String,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "PASSPORT")]
    kind: DocumentType,
    /// `front`, `back` or `null`.
    #[schema(required, value_type = Option<String>, example = "front")]
    side: Option<DocumentSide>,
    /// `QUARANTINED` until it was scanned, then `STORED`; `ACCEPTED` or `REJECTED` by a reviewer.
    #[schema(value_type = String, example = "STORED")]
    status: DocumentStatus,
    /// SHA-256 of the file in hexadecimal digits; `null` for a document of an earlier system.
    #[schema(
        required,
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    sha256: Option<String>,
    /// Size of the file, in bytes.
    size: i64,
    #[schema(example = "image/jpeg")]
    mime_type: String,
    /// Number of pages; `null` for a document of an earlier system.
    #[schema(required, example = 1)]
    page_count: Option<i32>,
    #[serde(with = "gx_serve::moment")]
    uploaded_at: OffsetDateTime,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason_code: Option<String>,
    /// What the reviewer says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    public_comment: Option<String>,
}

/// A document that the reviewers ask for again.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AskedDocument {
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "PASSPORT")]
    kind: DocumentType,
    /// `front` or `back`; `null` if any side is enough.
    #[schema(required, value_type = Option<String>)]
    side: Option<DocumentSide>,
    /// What the reviewer says about it.
    #[schema(required, example = "The picture is too dark.")]
    public_comment: Option<String>,
    #[serde(with = "gx_serve::moment")]
    asked_at: OffsetDateTime,
}

impl DocumentItem {
    pub(super) fn new(document: Document, facts: Option<DocumentFacts>) -> Self {
        let infected = document.is_infected.then(|| INFECTED.to_owned());
        Self {
            document_id: document.document_id,
            kind: document.kind,
            side: document.side.map(DocumentSide::from),
            status: document.status,
            sha256: facts.map(|facts| facts.sha256),
            size: document.size,
            mime_type: document.mime_type,
            page_count: document.page_count,
            uploaded_at: document.uploaded_at,
            reason_code: infected.or(document.reason_code),
            public_comment: document.public_comment,
        }
    }
}

impl From<DocumentRequest> for AskedDocument {
    fn from(request: DocumentRequest) -> Self {
        Self {
            kind: request.kind,
            side: request.side.map(DocumentSide::from),
            public_comment: request.public_comment,
            asked_at: request.asked_at,
        }
    }
}
