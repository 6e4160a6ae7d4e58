//! The gate in front of each route: who asks, and whether they may, decided on every request
//! from the database and never from the token alone (G6).

use axum::extract::{FromRequestParts, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use gx_db::Database;
use gx_model::{AccountStatus, Clock, DenialFinality};
use gx_serve::envelope::Actor;
use gx_serve::{Access, Problem, Routes, Service, ServiceParts};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use utoipa_axum::router::UtoipaMethodRouter;

use crate::foundation::connection;
use crate::hashing::Hasher;
use crate::role::AdminRole;
use crate::sessions::Sessions;
use crate::store::{self, PersonRow};
use crate::tokens::{Audience, Claims, Purpose};

/// What checks people and administrators. Clones share it.
#[derive(Clone)]
pub struct Auth {
    /// Sessions and their tokens.
    pub sessions: Sessions,
    /// The pool of password hashes.
    pub hasher: Hasher,
    /// Where sessions are.
    pub database: Database,
    /// What time it is.
    pub clock: Clock,
}

/// A person who has been let in.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who.
    pub profile_id: String,
    /// Through which session.
    pub session_id: String,
    /// Where the account stands.
    pub status: AccountStatus,
    /// What the status allows.
    pub access: gx_model::Access,
}

/// An administrator who has been let in.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// Who.
    pub admin_id: String,
    /// Through which session.
    pub session_id: String,
    /// With which role.
    pub role: AdminRole,
}

/// What a person's account allows at this moment; `None` when it lets nobody in.
pub(crate) fn access_of(row: &PersonRow) -> Option<(AccountStatus, gx_model::Access)> {
    let status = AccountStatus::from_name(&row.status)?;
    let denial = row.denial_finality.as_deref().and_then(DenialFinality::from_name);
    let access = status.access(denial);
    let open = !row.is_locked && !row.is_deleted && access != gx_model::Access::Refused;
    open.then_some((status, access))
}

/// Routes, each with the gate that its access needs. There is no other way to add one, so
/// that no route of a service can be without.
pub struct Api<S> {
    auth: Auth,
    routes: Routes<S>,
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// No routes yet.
    pub fn new(service: &'static str, auth: Auth) -> Self {
        Self { auth, routes: Routes::new(service) }
    }

    /// A route for anybody.
    #[must_use]
    pub fn public(mut self, methods: UtoipaMethodRouter<S>) -> Self {
        self.routes = self.routes.add(Access::Public, methods);
        self
    }

    /// A route for people who are signed in.
    #[must_use]
    pub fn user(self, methods: UtoipaMethodRouter<S>) -> Self {
        self.user_with(Access::User, methods)
    }

    /// A route that a person denied with a retry may use too.
    #[must_use]
    pub fn user_retrying(self, methods: UtoipaMethodRouter<S>) -> Self {
        self.user_with(Access::UserRetrying, methods)
    }

    fn user_with(
        mut self,
        access: Access,
        (schemas, paths, router): UtoipaMethodRouter<S>,
    ) -> Self {
        let auth = self.auth.clone();
        let router = router.route_layer(from_fn(move |request, next| {
            let auth = auth.clone();
            async move { let_person(&auth, access, request, next).await }
        }));
        self.routes = self.routes.add(access, (schemas, paths, router));
        self
    }

    /// A route for administrators of at least this role.
    #[must_use]
    pub fn admin(mut self, least: AdminRole, methods: UtoipaMethodRouter<S>) -> Self {
        let (schemas, paths, router) = methods;
        let auth = self.auth.clone();
        let router = router.route_layer(from_fn(move |request, next| {
            let auth = auth.clone();
            async move { let_administrator(&auth, least, request, next).await }
        }));
        self.routes = self.routes.add(Access::Admin(least.name()), (schemas, paths, router));
        self
    }

    /// The service that these routes make.
    pub fn into_service(self, state: S, parts: ServiceParts) -> Service {
        self.routes.into_service(state, parts)
    }
}

async fn let_person(auth: &Auth, needed: Access, mut request: Request, next: Next) -> Response {
    let person = match person(auth, needed, request.headers()).await {
        Ok(person) => person,
        Err(problem) => return refused(problem),
    };
    let actor = Actor(person.profile_id.clone());
    request.extensions_mut().insert(person);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(actor);
    response
}

async fn let_administrator(
    auth: &Auth,
    least: AdminRole,
    mut request: Request,
    next: Next,
) -> Response {
    let administrator = match administrator(auth, least, request.headers()).await {
        Ok(administrator) => administrator,
        Err(problem) => return refused(problem),
    };
    let actor = Actor(administrator.admin_id.clone());
    request.extensions_mut().insert(administrator);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(actor);
    response
}

fn refused(problem: Problem) -> Response {
    let code = problem.kind().code;
    metrics::counter!("gx_gate_refusals_total", "code" => code).increment(1);
    problem.into_response()
}

async fn person(auth: &Auth, needed: Access, headers: &HeaderMap) -> Result<Person, Problem> {
    let claims = claims(auth, headers, Audience::User)?;
    let mut conn = connection(&auth.database).await?;
    let row = store::person(&mut conn, &claims.sid, &claims.sub).await?;
    let row =
        row.filter(|row| !row.is_revoked && row.expires_at > auth.clock.now()).ok_or_else(over)?;
    let (status, access) = access_of(&row).ok_or_else(over)?;
    if access == gx_model::Access::KycOnly && needed != Access::UserRetrying {
        return Err(Problem::forbidden("Until you hand in again, only the KYC routes are open."));
    }
    Ok(Person { profile_id: claims.sub, session_id: claims.sid, status, access })
}

async fn administrator(
    auth: &Auth,
    least: AdminRole,
    headers: &HeaderMap,
) -> Result<Administrator, Problem> {
    let claims = claims(auth, headers, Audience::Admin)?;
    let mut conn = connection(&auth.database).await?;
    let row = store::administrator(&mut conn, &claims.sid, &claims.sub).await?;
    let role = row
        .filter(|row| !row.is_revoked && !row.is_locked && row.expires_at > auth.clock.now())
        .and_then(|row| AdminRole::from_name(&row.role))
        .ok_or_else(over)?;
    if !role.reaches(least) {
        let detail = format!("This needs the role {} or a higher one.", least.name());
        return Err(Problem::forbidden(detail));
    }
    Ok(Administrator { admin_id: claims.sub, session_id: claims.sid, role })
}

fn over() -> Problem {
    Problem::unauthenticated("The session is over. Sign in again.", true)
}

fn claims(auth: &Auth, headers: &HeaderMap, audience: Audience) -> Result<Claims, Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(Problem::unauthenticated("Send a token as Authorization: Bearer.", false));
    };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else {
        return Err(Problem::unauthenticated("Send a token as Authorization: Bearer.", false));
    };
    auth.sessions.tokens().verify(token.trim(), Purpose::Access, audience).map_err(|why| {
        tracing::info!(%why, "a token was refused");
        Problem::unauthenticated("The token is not valid. Sign in again.", true)
    })
}

/// Without the gate there is no person: a handler that asks for one on a public route is a
/// mistake of ours, and fails closed.
impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(over)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(over)
    }
}
