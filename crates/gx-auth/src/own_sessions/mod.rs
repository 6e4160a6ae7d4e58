//! Lists and ends sessions. Called by the routes of people and administrators about their own
//! sessions, and by those of administrators about a person's.

mod http;
mod store;

use gx_db::{PgConnection, SessionId};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Problem, ProblemKind};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::audit;
use crate::foundation::Foundation;
use crate::realm::Subject;
use crate::session_owner::SessionOwner;

pub use http::{end_session_route, sessions_route};

/// The session does not exist, or belongs to somebody else.
pub const NO_SESSION: ProblemKind = ProblemKind::new("no_session", 404, "There is no such session");

/// A session that can still be used, as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionItem {
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    session_id: String,
    /// `true` for the session of this request.
    is_current: bool,
    #[serde(with = "gx_serve::moment")]
    created_at: OffsetDateTime,
    /// Time of a request of the session; at most five minutes before its newest request, of an
    /// administrator's session one minute.
    #[serde(with = "gx_serve::moment")]
    last_used_at: OffsetDateTime,
    /// The client's own description, cut to 200 characters.
    #[schema(required, example = "curl/8.14.1")]
    user_agent: Option<String>,
    /// Address from which the session was opened.
    #[schema(required, example = "192.0.2.7")]
    client_address: Option<String>,
}

/// Returns a page of the sessions of a subject that can still be used, the newest first. `current`
/// is the session of the request.
///
/// # Errors
/// The problem of a database failure.
pub async fn list_sessions(
    base: &Foundation,
    subject: &Subject,
    current: Option<&SessionId>,
    page: &PageQuery<String>,
) -> Result<Page<SessionItem>, Problem> {
    let now = base.clock.now();
    let sessions = &base.auth.sessions;
    let unused_limit = sessions.idle_limit(subject.realm());
    let live = store::LiveSessions {
        subject,
        now,
        rotated_after: now - sessions.longest_token_life(),
        used_after: unused_limit.map_or(OffsetDateTime::UNIX_EPOCH, |limit| now - limit),
        below: page.key().map(String::as_str),
        limit: page.limit.with_one_more(),
    };
    let rows = store::list(&mut *base.connection().await?, &live).await?;
    let page = Page::cut(rows, page.limit, |row| row.session_id.clone());
    Ok(page.map(|row| SessionItem {
        is_current: current.is_some_and(|current| current.as_str() == row.session_id),
        session_id: row.session_id,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        user_agent: row.user_agent,
        client_address: row.client_address,
    }))
}

/// Ends one of the owner's sessions and writes the audit row. A session that has already ended is
/// answered in the same way.
async fn end_own(
    base: &Foundation,
    owner: &SessionOwner,
    session_id: &SessionId,
) -> Result<(), Problem> {
    let subject = &owner.subject;
    let _ticket = base.row_ticket(subject.as_str()).await?;
    let mut tx = base.begin().await?;
    let because = "ended by its owner";
    let sessions = &base.auth.sessions;
    if sessions.end(&mut tx, subject, Some(session_id), because).await? == 0 {
        return require_session(&mut tx, subject, session_id).await;
    }
    let entry = audit::Entry {
        before: Some(json!({ "isCurrent": owner.session_id == *session_id })),
        ..owner.audit_entry(
            "session.ended",
            subject.realm().session_table(),
            Some(session_id.as_str()),
        )
    };
    audit::append(&mut tx, entry, base.clock.now()).await?;
    Ok(tx.commit().await?)
}

/// Checks that the subject has or had this session.
///
/// # Errors
/// [`NO_SESSION`], or the problem of a database failure.
pub async fn require_session(
    conn: &mut PgConnection,
    subject: &Subject,
    session_id: &SessionId,
) -> Result<(), Problem> {
    if store::exists(conn, subject, session_id).await? {
        Ok(())
    } else {
        Err(Problem::new(&NO_SESSION, "Take an id from the list of sessions."))
    }
}
