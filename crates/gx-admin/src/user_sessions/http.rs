//! HTTP routes `GET` and `DELETE /api/v1/admin/users/{id}/sessions`, and
//! `DELETE /api/v1/admin/users/{id}/sessions/{sessionId}`.

use axum::extract::{Path, State};
use gx_auth::{Administrator, NO_SESSION, SessionItem};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Problem, Query, Reply};
use http::StatusCode;

use crate::ServiceState;
use crate::users::{ProfilePath, no_user};

/// Lists a person's sessions that can still be used, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}/sessions",
    tag = "sessions",
    params(("id" = String, Path, description = "profileId"), PageQuery<String>),
    responses((status = 200, description = "A page of sessions.", body = Page<SessionItem>))
)]
pub(crate) async fn list(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    Query(page): Query<PageQuery<String>>,
) -> Result<Reply<Page<SessionItem>>, Problem> {
    Ok(Reply::ok(super::list(&state, &id, &page).await?))
}

/// Ends all sessions of a person. Their tokens are refused from the next request on; the person may
/// sign in again.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/users/{id}/sessions",
    tag = "sessions",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 204, description = "All sessions have ended."))
)]
pub(crate) async fn end_all(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
) -> Result<StatusCode, Problem> {
    super::end(&state, &who, &id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one session of a person.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/users/{id}/sessions/{sessionId}",
    tag = "sessions",
    params(("id" = String, Path, description = "profileId"),
           ("sessionId" = String, Path, description = "`sessionId` of the list.")),
    responses((status = 204, description = "The session has ended."))
)]
pub(crate) async fn end_one(
    State(state): State<ServiceState>,
    Path((id, session_id)): Path<(String, String)>,
    who: Administrator,
) -> Result<StatusCode, Problem> {
    // PostgreSQL rejects a text with a NUL.
    if id.contains('\0') {
        return Err(no_user());
    }
    if session_id.contains('\0') {
        return Err(Problem::new(&NO_SESSION, "Take an id from the list of sessions."));
    }
    super::end(&state, &who, &id.into(), Some(&session_id.into())).await?;
    Ok(StatusCode::NO_CONTENT)
}
