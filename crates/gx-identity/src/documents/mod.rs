//! The documents that a person hands in for a review. Called by the routes under
//! `/api/v1/users/me/kyc/documents`; `kyc` and `export` read the documents here, too.
//!
//! A document has an id for each file: a replacement is a new document in the place of the old one,
//! so that an entry of the audit log names one file for ever.

mod download;
mod form;
pub(crate) mod http;
mod item;
mod receive;
mod rules;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Person, audit};
use gx_db::PgConnection;
use gx_documents::repository::{self, Document};
use gx_documents::{CommitError, FactsError, Received, requests};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{FileForm, Problem, ProblemKind, idempotency};
use serde_json::{Value, json};

use crate::ServiceState;
use form::DocumentForm;
use rules::Changes;

pub(crate) use download::{DOCUMENT_ERASED, DOCUMENT_HELD, check_destination, check_open};
pub(crate) use item::{AskedDocument, DocumentItem};
pub(crate) use receive::DOCUMENT_REFUSED;
pub(crate) use rules::{DOCUMENTS_CLOSED, DocumentQuota, TOO_MANY_DOCUMENTS};

/// The document does not exist, or belongs to somebody else.
pub(crate) const NO_DOCUMENT: ProblemKind =
    ProblemKind::new("no_document", 404, "There is no such document");

/// Adds a document to those of the person, and writes the audit row.
pub(crate) async fn add(
    state: &ServiceState,
    person: &Person,
    FileForm { fields, text, file }: FileForm<DocumentForm>,
) -> Result<DocumentItem, Problem> {
    let id = &person.profile_id;
    {
        let mut conn = state.base.connection().await?;
        Changes::now(&mut conn, id).await?.permit_addition(fields.kind.0, fields.side())?;
        rules::require_room(&mut conn, id, state.document_quota, None, 0).await?;
    }
    let received = receive::receive(state, person, &fields, file).await?;
    idempotency::file_arrived(&text, &received.file.sha256).await?;
    let _ticket = state.base.row_ticket(id.as_str()).await?;
    let mut tx = state.base.begin().await?;
    Changes::lock(&mut tx, id).await?.permit_addition(fields.kind.0, fields.side())?;
    rules::require_room(&mut tx, id, state.document_quota, None, size(&received)).await?;
    let document = commit(state, &mut tx, person, &received).await?;
    let entry = audit::Entry {
        after: Some(values(&document)),
        ..person.audit_entry("user.document_added", "KYCDocument", Some(&received.document_id))
    };
    audit::append(&mut tx, entry, state.base.clock.now()).await?;
    tx.commit().await?;
    Ok(item_of(document, &received))
}

/// Replaces a document by another one of the same type and side, and writes the audit row.
pub(crate) async fn replace(
    state: &ServiceState,
    person: &Person,
    document_id: &str,
    FileForm { fields, text, file }: FileForm<DocumentForm>,
) -> Result<DocumentItem, Problem> {
    let id = &person.profile_id;
    {
        let mut conn = state.base.connection().await?;
        let old = require(&mut conn, person, document_id).await?;
        rules::require_same(&old, &fields)?;
        Changes::now(&mut conn, id).await?.permit_removal(fields.kind.0, fields.side())?;
        rules::require_room(&mut conn, id, state.document_quota, Some(&old), 0).await?;
    }
    let received = receive::receive(state, person, &fields, file).await?;
    idempotency::file_arrived(&text, &received.file.sha256).await?;
    let now = state.base.clock.now();
    let _ticket = state.base.row_ticket(id.as_str()).await?;
    let mut tx = state.base.begin().await?;
    let changes = Changes::lock(&mut tx, id).await?;
    let old = require(&mut tx, person, document_id).await?;
    changes.permit_removal(fields.kind.0, fields.side())?;
    let quota = state.document_quota;
    rules::require_room(&mut tx, id, quota, Some(&old), size(&received)).await?;
    if !repository::remove(&mut tx, id, document_id, now).await? {
        return Err(no_document());
    }
    let document = commit(state, &mut tx, person, &received).await?;
    let mut after = values(&document);
    after["documentId"] = received.document_id.as_str().into();
    let entry = audit::Entry {
        before: Some(values(&old)),
        after: Some(after),
        ..person.audit_entry("user.document_replaced", "KYCDocument", Some(document_id))
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(item_of(document, &received))
}

/// Deletes a document of the person, and writes the audit row. Its file is removed soon.
pub(crate) async fn remove(
    state: &ServiceState,
    person: &Person,
    document_id: &str,
) -> Result<(), Problem> {
    let (id, now) = (&person.profile_id, state.base.clock.now());
    let _ticket = state.base.row_ticket(id.as_str()).await?;
    let mut tx = state.base.begin().await?;
    let changes = Changes::lock(&mut tx, id).await?;
    let old = require(&mut tx, person, document_id).await?;
    changes.permit_removal(old.kind, old.side.map(Into::into))?;
    if !repository::remove(&mut tx, id, document_id, now).await? {
        return Err(no_document());
    }
    let entry = audit::Entry {
        before: Some(values(&old)),
        ..person.audit_entry("user.document_removed", "KYCDocument", Some(document_id))
    };
    audit::append(&mut tx, entry, now).await?;
    Ok(tx.commit().await?)
}

/// Returns a document of the person.
pub(crate) async fn one(
    state: &ServiceState,
    person: &Person,
    document_id: &str,
) -> Result<DocumentItem, Problem> {
    let document = {
        let mut conn = state.base.connection().await?;
        require(&mut conn, person, document_id).await?
    };
    let facts = state.documents.facts_of(std::slice::from_ref(&document)).await;
    let facts = facts.map_err(of_facts)?.pop().flatten();
    Ok(DocumentItem::new(document, facts))
}

/// Returns a page of the person's documents, in the order of their upload.
pub(crate) async fn page(
    state: &ServiceState,
    person: &Person,
    page: &PageQuery<String>,
) -> Result<Page<DocumentItem>, Problem> {
    let items = all(state, person).await?.into_iter();
    let items = items.filter(|item| page.key().is_none_or(|last| item.document_id > *last));
    let limit = usize::try_from(page.limit.with_one_more()).unwrap_or(usize::MAX);
    let items = items.take(limit).collect();
    Ok(Page::cut(items, page.limit, |item: &DocumentItem| item.document_id.clone()))
}

/// Returns all documents of the person, in the order of their ids, which is that of their upload.
pub(crate) async fn all(
    state: &ServiceState,
    person: &Person,
) -> Result<Vec<DocumentItem>, Problem> {
    let mut documents = {
        let mut conn = state.base.connection().await?;
        repository::documents(&mut conn, &person.profile_id).await?
    };
    documents.retain(|document| document.erased_at.is_none());
    documents.sort_by(|one, other| one.document_id.cmp(&other.document_id));
    let facts = state.documents.facts_of(&documents).await.map_err(of_facts)?;
    let items = documents.into_iter().zip(facts);
    Ok(items.map(|(document, facts)| DocumentItem::new(document, facts)).collect())
}

/// Returns the documents that the reviewers ask the person for again.
pub(crate) async fn asked_again(
    conn: &mut PgConnection,
    person: &Person,
) -> Result<Vec<AskedDocument>, Problem> {
    let open = requests::open_requests(conn, &person.profile_id).await?;
    Ok(open.into_iter().map(AskedDocument::from).collect())
}

/// Returns a document of the person.
async fn require(
    conn: &mut PgConnection,
    person: &Person,
    document_id: &str,
) -> Result<Document, Problem> {
    let document = repository::document(conn, &person.profile_id, document_id).await?;
    document.ok_or_else(no_document)
}

/// Returns the problem of an unknown id.
fn no_document() -> Problem {
    Problem::new(&NO_DOCUMENT, "Take an id from the list at /api/v1/users/me/kyc/documents.")
}

/// Adds the document of a stored file, and ends the requests that it meets. The clock of the review
/// goes on once no request is left.
async fn commit(
    state: &ServiceState,
    tx: &mut PgConnection,
    person: &Person,
    received: &Received,
) -> Result<Document, Problem> {
    state.documents.commit(tx, received).await.map_err(|error| match error {
        CommitError::Database(error) => error.into(),
        CommitError::Ended => {
            Problem::unavailable("The upload took too long. Upload the file again.", 1)
        }
    })?;
    let document = require(tx, person, &received.document_id).await?;
    let (id, side) = (&person.profile_id, document.side.map(Into::into));
    if requests::meet(tx, id, document.kind, side).await? == 0 {
        gx_auth::review_clock::resume(tx, id, state.base.clock.now()).await?;
    }
    Ok(document)
}

fn item_of(document: Document, received: &Received) -> DocumentItem {
    let facts = repository::DocumentFacts {
        sha256: hex::encode(received.file.sha256),
        number: None,
        file_name: None,
    };
    DocumentItem::new(document, Some(facts))
}

fn size(received: &Received) -> i64 {
    i64::try_from(received.file.size).unwrap_or(i64::MAX)
}

/// Returns what the audit log has of a document: nothing about the person.
fn values(document: &Document) -> Value {
    let side = document.side.map(|side| side.0.name());
    json!({
        "type": document.kind.name(),
        "side": side,
        "status": document.status.name(),
        "size": document.size,
    })
}

/// Returns the problem of facts that cannot be read.
pub(crate) fn of_facts(error: FactsError) -> Problem {
    match error {
        FactsError::Database(error) => error.into(),
        FactsError::Keys(error) => receive::of_keys(error),
        error @ FactsError::Damaged(_) => Problem::internal(&error),
    }
}
