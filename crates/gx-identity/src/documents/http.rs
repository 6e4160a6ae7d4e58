//! HTTP routes under `/api/v1/users/me/kyc/documents`, registered by [`crate::service`]. A
//! `Problem` is the answer to the client.

use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use gx_auth::Person;
use gx_serve::page::{Page, PageQuery};
use gx_serve::{FileForm, Problem, Query, Reply};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::form::DocumentForm;
use super::item::DocumentItem;
use crate::ServiceState;

/// The id of a document in a path. A text that is not an id is answered like an unknown id.
pub(crate) struct DocumentPath(String);

impl<S: Send + Sync> FromRequestParts<S> for DocumentPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let plain = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let id = path.ok().map(|Path(id)| id).filter(plain);
        id.map(Self).ok_or_else(super::no_document)
    }
}

/// Hands in a document. The file comes last, after all other fields. Possible until the account is
/// submitted for review, and for documents that the reviewers ask for again.
#[utoipa::path(
    post,
    path = "/api/v1/users/me/kyc/documents",
    tag = "documents",
    request_body(content = DocumentForm, content_type = "multipart/form-data"),
    responses((status = 201, description = "The document is stored.", body = DocumentItem))
)]
pub(crate) async fn add(
    State(state): State<ServiceState>,
    person: Person,
    form: FileForm<DocumentForm>,
) -> Result<Reply<DocumentItem>, Problem> {
    let item = super::add(&state, &person, form).await?;
    Ok(Reply(StatusCode::CREATED, item))
}

/// Lists your documents, in the order of their upload.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/kyc/documents",
    tag = "documents",
    params(PageQuery<String>),
    responses((status = 200, description = "A page of documents.", body = Page<DocumentItem>))
)]
pub(crate) async fn list(
    State(state): State<ServiceState>,
    person: Person,
    Query(page): Query<PageQuery<String>>,
) -> Result<Reply<Page<DocumentItem>>, Problem> {
    Ok(Reply::ok(super::page(&state, &person, &page).await?))
}

/// Returns one of your documents.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/kyc/documents/{id}",
    tag = "documents",
    params(("id" = String, Path, description = "`documentId` of the list.")),
    responses((status = 200, description = "The document.", body = DocumentItem))
)]
pub(crate) async fn get(
    State(state): State<ServiceState>,
    person: Person,
    DocumentPath(id): DocumentPath,
) -> Result<Reply<DocumentItem>, Problem> {
    Ok(Reply::ok(super::one(&state, &person, &id).await?))
}

/// Returns the file of one of your documents, as a download. The token is the only way to it: there
/// is no address that works without.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/kyc/documents/{id}/content",
    tag = "documents",
    params(("id" = String, Path, description = "`documentId` of the list.")),
    responses((
        status = 200,
        description = "The file.",
        content(("image/jpeg"), ("image/png"), ("image/webp"), ("application/pdf"))
    ))
)]
pub(crate) async fn content(
    State(state): State<ServiceState>,
    person: Person,
    DocumentPath(id): DocumentPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    super::download::download(&state, &person, &id, &headers).await
}

/// Replaces one of your documents by another one of the same type and side. The new one has an id
/// of its own.
#[utoipa::path(
    put,
    path = "/api/v1/users/me/kyc/documents/{id}",
    tag = "documents",
    params(("id" = String, Path, description = "`documentId` of the list.")),
    request_body(content = DocumentForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "The new document.", body = DocumentItem))
)]
pub(crate) async fn replace(
    State(state): State<ServiceState>,
    person: Person,
    DocumentPath(id): DocumentPath,
    form: FileForm<DocumentForm>,
) -> Result<Reply<DocumentItem>, Problem> {
    Ok(Reply::ok(super::replace(&state, &person, &id, form).await?))
}

/// Deletes one of your documents.
#[utoipa::path(
    delete,
    path = "/api/v1/users/me/kyc/documents/{id}",
    tag = "documents",
    params(("id" = String, Path, description = "`documentId` of the list.")),
    responses((status = 204, description = "The document is deleted."))
)]
pub(crate) async fn remove(
    State(state): State<ServiceState>,
    person: Person,
    DocumentPath(id): DocumentPath,
) -> Result<StatusCode, Problem> {
    super::remove(&state, &person, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
