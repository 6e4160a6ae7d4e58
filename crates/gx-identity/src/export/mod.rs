//! All that GX keeps about a person, as a ZIP archive: one JSON, and the files of the documents.
//! Called by the route `GET /api/v1/users/me/export`. The archive is written while it is sent.

pub(crate) mod http;
mod person_json;
mod sections;
mod store;
#[cfg(test)]
mod tests;
mod zip;

use std::vec::IntoIter;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use gx_auth::{Person, audit};
use gx_documents::repository::{self, Document, DocumentFacts};
use gx_documents::{ContentError, DocumentSide, Documents, FileFormat};
use gx_serve::Problem;
use gx_serve::problem::ErrorChain;
use serde_json::{Value, json};

use crate::ServiceState;
use crate::documents::{check_open, of_facts};
use person_json::PersonJson;
use zip::{ArchiveTooLarge, ZipWriter};

/// Name of the JSON in the archive.
const JSON_NAME: &str = "person.json";
/// Folder of the documents in the archive.
const DOCUMENTS_FOLDER: &str = "documents";

/// Why an archive ends early.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// A statement failed.
    #[error("an export cannot be read from the database; check the database and its log")]
    Database(#[from] sqlx::Error),
    /// A file cannot be read.
    #[error("a document cannot be read for an export")]
    Content(#[from] ContentError),
    /// The archive is too large for its format.
    #[error(transparent)]
    TooLarge(#[from] ArchiveTooLarge),
}

/// A file of the archive.
struct ExportFile {
    name: String,
    document: Document,
}

/// The next part of an archive.
enum Step {
    Begin,
    Json,
    NextFile,
    File(BoxStream<'static, Result<Bytes, ContentError>>),
    Finished,
}

/// An archive that is being written.
struct Archive {
    documents: Documents,
    zip: ZipWriter,
    json: PersonJson,
    files: IntoIter<ExportFile>,
    step: Step,
}

/// Writes the audit row and returns the archive. An error later ends the answer early.
async fn export(
    state: &ServiceState,
    person: &Person,
) -> Result<BoxStream<'static, Result<Bytes, ExportError>>, Problem> {
    let (id, now) = (&person.profile_id, state.base.clock.now());
    let documents = {
        let mut conn = state.base.connection().await?;
        repository::documents(&mut conn, id).await?
    };
    let facts = state.documents.facts_of(&documents).await.map_err(of_facts)?;
    let entry = person.audit_entry("user.data_exported", "UserProfile", Some(id.as_str()));
    audit::append(&mut *state.base.connection().await?, entry, now).await?;
    let (mut list, mut files) = (Vec::new(), Vec::new());
    for (number, (document, facts)) in documents.into_iter().zip(facts).enumerate() {
        let is_open = facts.is_some() && check_open(&document).is_ok();
        let name = is_open.then(|| name_of(number + 1, &document));
        list.push(described(&document, facts.as_ref(), name.as_deref()));
        files.extend(name.map(|name| ExportFile { name, document }));
    }
    let database = state.base.database.clone();
    let archive = Archive {
        documents: state.documents.clone(),
        zip: ZipWriter::new(now),
        json: PersonJson::new(database, id.clone(), list.into(), now),
        files: files.into_iter(),
        step: Step::Begin,
    };
    let pieces = futures_util::stream::try_unfold(archive, |mut archive| async move {
        match archive.next().await {
            Ok(piece) => Ok(piece.map(|piece| (piece, archive))),
            Err(error) => {
                tracing::error!(
                    error = %ErrorChain(&error),
                    "an export ended early; check the database and the document store"
                );
                Err(error)
            }
        }
    });
    Ok(pieces.boxed())
}

impl Archive {
    /// Returns the next piece, or `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ExportError> {
        match std::mem::replace(&mut self.step, Step::Finished) {
            Step::Begin => {
                self.step = Step::Json;
                Ok(Some(self.zip.begin(JSON_NAME)))
            }
            Step::Json => match self.json.next().await? {
                Some(piece) => {
                    self.step = Step::Json;
                    Ok(Some(self.zip.add(&piece)))
                }
                None => self.end_entry(),
            },
            Step::NextFile => self.begin_file().await,
            Step::File(mut content) => match content.next().await {
                Some(piece) => {
                    let piece = self.zip.add(&piece?);
                    self.step = Step::File(content);
                    Ok(Some(piece))
                }
                None => self.end_entry(),
            },
            Step::Finished => Ok(None),
        }
    }

    fn end_entry(&mut self) -> Result<Option<Bytes>, ExportError> {
        self.step = Step::NextFile;
        Ok(Some(self.zip.end()?))
    }

    /// Begins the next file, or ends the archive after the last one. A document that was deleted
    /// meanwhile is left out.
    async fn begin_file(&mut self) -> Result<Option<Bytes>, ExportError> {
        for ExportFile { name, document } in self.files.by_ref() {
            match self.documents.content(&document).await {
                Ok(content) => {
                    self.step = Step::File(content);
                    return Ok(Some(self.zip.begin(&name)));
                }
                Err(ContentError::Store(error)) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(self.zip.finish()?))
    }
}

/// Returns the name of a document's file in the archive.
fn name_of(number: usize, document: &Document) -> String {
    let side = document.side.map(DocumentSide::from);
    let side = side.map_or_else(String::new, |side| format!("-{side}"));
    let ending = FileFormat::of_mime_type(&document.mime_type);
    let ending = ending.map_or("bin", |format| format.extensions()[0]);
    format!("{DOCUMENTS_FOLDER}/{number}-{}{side}.{ending}", document.kind)
}

/// Returns what GX has of a document. `file` is its name in the archive, or `None` if the file is
/// held back or was erased.
fn described(document: &Document, facts: Option<&DocumentFacts>, file: Option<&str>) -> Value {
    let day = |day: Option<time::Date>| day.map(|day| day.to_string());
    json!({
        "documentId": document.document_id,
        "type": document.kind.name(),
        "side": document.side.map(|side| side.0.name()),
        "status": document.status.name(),
        "file": file,
        "fileName": facts.and_then(|facts| facts.file_name.as_deref()),
        "sha256": facts.map(|facts| facts.sha256.as_str()),
        "documentNumber": facts.and_then(|facts| facts.number.as_deref()),
        "size": document.size,
        "mimeType": document.mime_type,
        "pageCount": document.page_count,
        "issuingCountry": document.issuing_country,
        "issuedDate": day(document.issued_on),
        "expiryDate": day(document.expires_on),
        "uploadedAt": moment(document.uploaded_at),
        "reviewedAt": document.reviewed_at.map(moment),
        "reasonCode": document.reason_code,
        "publicComment": document.public_comment,
        "isInfected": document.is_infected,
        "erasedAt": document.erased_at.map(moment),
    })
}

/// Returns a time as text.
fn moment(at: time::OffsetDateTime) -> Option<String> {
    at.format(&time::format_description::well_known::Rfc3339).ok()
}
