//! HTTP routes about one's own sessions, for people and administrators.

use axum::extract::{Path, State};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Problem, Query, Reply};
use http::StatusCode;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use super::{NO_SESSION, SessionItem};
use crate::foundation::Foundation;
use crate::realm::Realm;
use crate::route_parts::at;
use crate::session_owner::SessionOwner;

/// Returns the route at `path` that lists the caller's sessions.
pub fn sessions_route<S>(realm: Realm, path: &str, base: &Foundation) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    at(routes!(list), path, (realm, base.clone()))
}

/// Returns the route at `path`, which ends with `{id}`, that ends one of the caller's sessions. It
/// answers with [`NO_SESSION`], too.
pub fn end_session_route<S>(realm: Realm, path: &str, base: &Foundation) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    at(routes!(end), path, (realm, base.clone()))
}

/// Lists your sessions that can still be used, the newest first.
#[utoipa::path(
    get,
    path = "/sessions",
    tag = "sessions",
    params(PageQuery<String>),
    responses((status = 200, description = "A page of sessions.", body = Page<SessionItem>))
)]
async fn list(
    State((_realm, base)): State<(Realm, Foundation)>,
    owner: SessionOwner,
    Query(page): Query<PageQuery<String>>,
) -> Result<Reply<Page<SessionItem>>, Problem> {
    let current = Some(&owner.session_id);
    let page = super::list_sessions(&base, &owner.subject, current, &page).await?;
    Ok(Reply::ok(page))
}

/// Ends one of your sessions. Its tokens are refused from the next request on.
#[utoipa::path(
    delete,
    path = "/sessions/{id}",
    tag = "sessions",
    params(("id" = String, Path, description = "`sessionId` of the list.")),
    responses((status = 204, description = "The session has ended."))
)]
async fn end(
    State((_realm, base)): State<(Realm, Foundation)>,
    owner: SessionOwner,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    // PostgreSQL rejects a text with a NUL.
    if id.contains('\0') {
        return Err(Problem::new(&NO_SESSION, "Take an id from the list of sessions."));
    }
    super::end_own(&base, &owner, &id.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}
