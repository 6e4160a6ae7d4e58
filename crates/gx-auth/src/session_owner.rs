//! The caller of a route that both realms have.

use axum::extract::FromRequestParts;
use gx_db::SessionId;
use gx_serve::idempotency::set_principal;
use gx_serve::{Problem, RequestId, RequestLimits, RouteAccess};
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::audit;
use crate::authorization::{AdminAccess, Administrator, Person, Sender, administrator, person};
use crate::foundation::Foundation;
use crate::realm::{Realm, Subject};
use crate::role::AdminRole;

/// A signed-in person or administrator.
#[derive(Clone, Debug)]
pub(crate) struct SessionOwner {
    pub(crate) subject: Subject,
    /// Session of the request, or the id of an enrolment token.
    pub(crate) session_id: SessionId,
    /// Whether an enrolment token takes the place of a session.
    pub(crate) is_enrolling: bool,
    /// Version of the password at which the enrolment token was signed.
    pub(crate) password_version: Option<String>,
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
            return Ok(who.clone().into());
        }
        Ok(Person::from_request_parts(parts, &()).await?.into())
    }
}

impl From<Person> for SessionOwner {
    fn from(who: Person) -> Self {
        let subject = Subject::User(who.profile_id);
        let (session_id, request_id) = (who.session_id, who.request_id);
        Self { subject, session_id, is_enrolling: false, password_version: None, request_id }
    }
}

impl From<Administrator> for SessionOwner {
    fn from(who: Administrator) -> Self {
        let subject = Subject::Admin(who.admin_id);
        let Administrator { session_id, is_enrolling, password_version, request_id, .. } = who;
        Self { subject, session_id, is_enrolling, password_version, request_id }
    }
}

/// The caller of a public route that may have a session. A token that is not valid is refused.
#[derive(Clone, Debug)]
pub(crate) struct OptionalOwner(pub(crate) Option<SessionOwner>);

impl FromRequestParts<(Realm, Foundation)> for OptionalOwner {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        (realm, base): &(Realm, Foundation),
    ) -> Result<Self, Problem> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(Self(None));
        }
        let limits = RequestLimits::from_request_parts(parts, &()).await?;
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        let request_id = request_id.unwrap_or_default();
        let sender = Sender { headers: &parts.headers, limits, request_id };
        let owner: SessionOwner = match realm {
            Realm::User => person(&base.auth, RouteAccess::UserRetrying, sender).await?.into(),
            Realm::Admin => {
                let needed = AdminAccess { least: AdminRole::Auditor, may_enrol: false };
                administrator(&base.auth, needed, sender).await?.into()
            }
        };
        set_principal(owner.subject.as_str());
        Ok(Self(Some(owner)))
    }
}
