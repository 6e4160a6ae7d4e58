//! Documents of people, as administrators see them: lists, pages as pixels, the same file or number
//! under other people, and decisions. Called by the routes under
//! `/api/v1/admin/users/{id}/documents`, and by an approval.
//!
//! Nobody gets a file. A page is drawn with the name of its viewer in the pixels, and is sent only
//! after the entry of the audit log is committed (FILE-06).

pub(crate) mod http;
mod items;
mod page;
mod requirements;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{AdminRole, Administrator, audit};
use gx_db::ProfileId;
use gx_documents::repository::{self, Document, DocumentDecision};
use gx_documents::{DocumentStatus, FactsError, KeyStoreError};
use gx_serve::{Problem, ProblemKind};
use serde_json::json;

use crate::ServiceState;
use crate::claims;
use crate::users::no_user;

pub(crate) use items::{DocumentItem, DuplicateItem};
pub(crate) use page::{PageView, ViewPurpose, show};
pub(crate) use requirements::require_usable;

/// There is no document with this id, or it is another person's.
pub(crate) const NO_DOCUMENT: ProblemKind =
    ProblemKind::new("no_document", 404, "There is no such document");
/// The document has no page with this number.
pub(crate) const NO_PAGE: ProblemKind =
    ProblemKind::new("no_page", 404, "The document has no such page");
/// The document was erased, or never had a file.
pub(crate) const DOCUMENT_ERASED: ProblemKind =
    ProblemKind::new("document_erased", 410, "The document has no file any more");
/// The document is not scanned yet, or infected.
pub(crate) const DOCUMENT_HELD: ProblemKind =
    ProblemKind::new("document_held", 409, "The document is held by the malware scanner");
/// The document was accepted or rejected before.
pub(crate) const DOCUMENT_DECIDED: ProblemKind =
    ProblemKind::new("document_decided", 409, "The document is decided");
/// The file cannot be drawn.
pub(crate) const PAGE_NOT_DRAWN: ProblemKind =
    ProblemKind::new("page_not_drawn", 422, "The page cannot be drawn");
/// A required document is quarantined or rejected, or was asked for again and is missing.
pub(crate) const DOCUMENTS_NOT_USABLE: ProblemKind =
    ProblemKind::new("documents_not_usable", 409, "A required document cannot be relied on");

/// A decision that a reviewer requests.
pub(crate) struct WantedDecision<'a> {
    /// Accepted or rejected.
    pub(crate) status: DocumentStatus,
    pub(crate) reason_code: Option<&'a str>,
    pub(crate) public_comment: Option<&'a str>,
}

/// Returns the documents of a person, in the order of their upload. What is encrypted of them is
/// only read for those who may open documents.
pub(crate) async fn list(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
) -> Result<Vec<DocumentItem>, Problem> {
    let documents = documents_of(state, profile_id).await?;
    let mut items = Vec::new();
    for document in documents {
        let facts = match who.role.includes(AdminRole::Reviewer) {
            true => items::facts(state, &document).await,
            false => None,
        };
        items.push(DocumentItem::new(document, facts));
    }
    Ok(items)
}

/// Returns the documents of other people with the same file or number as one of this person's.
pub(crate) async fn duplicates(
    state: &ServiceState,
    profile_id: &ProfileId,
) -> Result<Vec<DuplicateItem>, Problem> {
    let documents = documents_of(state, profile_id).await?;
    let mut conn = state.base.connection().await?;
    let mut items = Vec::new();
    for document in documents.iter().filter(|document| document.erased_at.is_none()) {
        match state.documents.duplicates(&mut conn, document).await {
            Ok(found) => {
                items.extend(found.into_iter().map(|other| DuplicateItem::new(document, other)));
            }
            Err(FactsError::Database(error)) => return Err(error.into()),
            // Nothing is known of the file any more.
            Err(FactsError::Keys(KeyStoreError::Erased)) => {}
            Err(error) => return Err(Problem::internal(&error)),
        }
    }
    items.sort_by_key(DuplicateItem::key);
    Ok(items)
}

/// Accepts or rejects a document of a person under review, and writes the audit row.
pub(crate) async fn decide(
    state: &ServiceState,
    who: &Administrator,
    (profile_id, document_id): (&ProfileId, &str),
    wanted: &WantedDecision<'_>,
) -> Result<(), Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    claims::require_review(&mut tx, profile_id, who).await?;
    let document = repository::document(&mut tx, profile_id, document_id).await?;
    let document = document.ok_or_else(no_document)?;
    require_open(&document)?;
    let decision = DocumentDecision {
        status: wanted.status,
        by: &who.admin_id,
        reason_code: wanted.reason_code,
        public_comment: wanted.public_comment,
    };
    if document.status != DocumentStatus::Stored
        || !repository::decide(&mut tx, document_id, &decision, now).await?
    {
        let detail = format!(
            "It is {}. If it must be replaced, ask the person for another one.",
            document.status
        );
        return Err(Problem::new(&DOCUMENT_DECIDED, detail));
    }
    let entry = audit::Entry {
        before: Some(json!({ "documentStatus": document.status })),
        after: Some(json!({
            "documentId": document_id,
            "type": document.kind,
            "documentStatus": wanted.status,
            "reasonCode": wanted.reason_code,
        })),
        ..who.audit_entry("document.decided", "UserProfile", Some(profile_id.as_str()))
    };
    audit::append(&mut tx, entry, now).await?;
    Ok(tx.commit().await?)
}

/// Returns the documents of a person, or the problem if there is no such person.
async fn documents_of(
    state: &ServiceState,
    profile_id: &ProfileId,
) -> Result<Vec<Document>, Problem> {
    let mut conn = state.base.connection().await?;
    if !store::person_exists(&mut conn, profile_id).await? {
        return Err(no_user());
    }
    Ok(repository::documents(&mut conn, profile_id).await?)
}

/// Returns the problem of a document that nobody may open.
fn require_open(document: &Document) -> Result<(), Problem> {
    if document.erased_at.is_some() {
        return Err(erased());
    }
    if document.status == DocumentStatus::Quarantined || document.is_infected {
        return Err(held());
    }
    Ok(())
}

fn no_document() -> Problem {
    Problem::new(&NO_DOCUMENT, "Take an id from the list of the person's documents.")
}

fn erased() -> Problem {
    Problem::new(&DOCUMENT_ERASED, "Nothing is left of its content.")
}

fn held() -> Problem {
    let detail = "Wait for the scanner. If it has found malware, ask the person for another file.";
    Problem::new(&DOCUMENT_HELD, detail)
}
