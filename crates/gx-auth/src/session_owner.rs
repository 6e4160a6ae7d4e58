//! The caller of a route that both realms have.

use axum::extract::FromRequestParts;
use gx_db::SessionId;
use gx_serve::Problem;
use http::request::Parts;

use crate::audit;
use crate::authorization::{Administrator, Person};
use crate::realm::Subject;

/// A signed-in person or administrator.
#[derive(Clone, Debug)]
pub(crate) struct SessionOwner {
    pub(crate) subject: Subject,
    /// Session of the request, or the id of an enrolment token.
    pub(crate) session_id: SessionId,
    /// Whether an enrolment token takes the place of a session.
    pub(crate) is_enrolling: bool,
    pub(crate) request_id: String,
}

impl SessionOwner {
    /// Returns an entry of the audit log about an action of the caller, without values.
    pub(crate) fn audit_entry<'a>(
        &'a self,
        action: &'a str,
        target_type: &'a str,
        target_id: Option<&'a str>,
    ) -> audit::Entry<'a> {
        let actor = match &self.subject {
            Subject::User(id) => audit::Actor::User(id),
            Subject::Admin(id) => audit::Actor::Admin(id),
        };
        audit::Entry::new(actor, action, target_type, target_id, Some(&self.request_id))
    }
}

/// Returns the caller that the authorization has found. A public route has none.
impl<S: Send + Sync> FromRequestParts<S> for SessionOwner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if let Some(who) = parts.extensions.get::<Administrator>() {
            return Ok(Self {
                subject: Subject::Admin(who.admin_id.clone()),
                session_id: who.session_id.clone(),
                is_enrolling: who.is_enrolling,
                request_id: who.request_id.clone(),
            });
        }
        let person = Person::from_request_parts(parts, &()).await?;
        Ok(Self {
            subject: Subject::User(person.profile_id),
            session_id: person.session_id,
            is_enrolling: false,
            request_id: person.request_id,
        })
    }
}
