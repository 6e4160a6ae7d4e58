//! Shows and ends the sessions of a person. Called by the routes under
//! `/api/v1/admin/users/{id}/sessions`.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Administrator, SessionItem, Subject, audit, list_sessions, require_session};
use gx_db::{ProfileId, SessionId};
use gx_serve::Problem;
use gx_serve::page::{Page, PageQuery};
use serde_json::json;

use crate::ServiceState;
use crate::users::no_user;

/// Returns a page of a person's sessions that can still be used.
pub(crate) async fn list(
    state: &ServiceState,
    profile_id: &ProfileId,
    page: &PageQuery<String>,
) -> Result<Page<SessionItem>, Problem> {
    let base = &state.base;
    if !store::exists(&mut *base.connection().await?, profile_id).await? {
        return Err(no_user());
    }
    list_sessions(base, &Subject::User(profile_id.clone()), None, page).await
}

/// Ends one of a person's sessions, or all of them, and writes the audit row. Asked again, it
/// changes nothing.
pub(crate) async fn end(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    session_id: Option<&SessionId>,
) -> Result<(), Problem> {
    let base = &state.base;
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    if !store::exists(&mut tx, profile_id).await? {
        return Err(no_user());
    }
    let (sessions, because) = (&base.auth.sessions, "ended by an administrator");
    let subject = Subject::User(profile_id.clone());
    let ended = sessions.end(&mut tx, &subject, session_id, because).await?;
    if let (0, Some(session_id)) = (ended, session_id) {
        return require_session(&mut tx, &subject, session_id).await;
    }
    let entry = audit::Entry {
        after: Some(json!({ "ended": ended, "sessionId": session_id })),
        ..who.audit_entry("user.sessions_ended", "UserProfile", Some(profile_id.as_str()))
    };
    audit::append(&mut tx, entry, base.clock.now()).await?;
    Ok(tx.commit().await?)
}
