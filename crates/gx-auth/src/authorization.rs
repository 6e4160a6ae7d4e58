//! Authorization of each request: identifies the sender and checks the permission. [`Api`] adds it
//! to every route that is not public. A request that fails it is answered with 401, 403 or 503, and
//! its handler is not called. The database decides on every request, never the token alone (G6).

use axum::extract::{FromRequestParts, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use gx_db::{AdminId, Database, PgConnection, ProfileId, SessionId};
use gx_model::{AccountStatus, Clock};
use gx_serve::LoggedActor;
use gx_serve::database::connection;
use gx_serve::idempotency::set_principal;
use gx_serve::problem::ErrorChain;
use gx_serve::{
    Problem, ProblemKind, RequestId, RequestLimits, RouteAccess, RouteLimit, Routes, Service,
    ServiceParts, TagText,
};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jsonwebtoken::jwk::JwkSet;
use time::OffsetDateTime;
use utoipa_axum::router::UtoipaMethodRouter;

use crate::audit;
use crate::hashing::Hasher;
use crate::realm::Realm;
use crate::role::AdminRole;
use crate::sessions::Sessions;
use crate::store;
use crate::tokens::{Audience, Claims, InvalidToken, KEYS_MAX_AGE, KEYS_MIN_AGE, TokenUse};
use crate::valid_sessions::{self, ValidPerson, session_ended};

/// Authenticates people and administrators. Clones share everything.
#[derive(Clone)]
pub struct Auth {
    /// Sessions and their tokens.
    pub sessions: Sessions,
    /// Pool that computes password hashes.
    pub hasher: Hasher,
    /// Database of the sessions.
    pub database: Database,
    /// Time source.
    pub clock: Clock,
}

/// A signed-in person.
#[derive(Clone, Debug)]
pub struct Person {
    /// Id of the person.
    pub profile_id: ProfileId,
    /// Session behind the token.
    pub session_id: SessionId,
    /// Status of the account.
    pub status: AccountStatus,
    /// Access that the status permits.
    pub access: gx_model::AccountAccess,
    /// Id of the request.
    pub request_id: String,
}

impl Auth {
    /// Returns the public keys with which tokens can be verified.
    ///
    /// # Errors
    /// The problem of a database failure if the keys of the database were never read.
    pub async fn public_keys(&self) -> Result<JwkSet, Problem> {
        self.learn_keys().await?;
        Ok(self.sessions.tokens().public_keys())
    }

    /// Verifies a token of one of these uses. If its key is not known, the keys of the database are
    /// read again.
    ///
    /// # Errors
    /// The problem with status 503 if the keys must be read and cannot be. The result itself says
    /// whether the token is valid.
    pub(crate) async fn verify(
        &self,
        token: &str,
        uses: &[TokenUse],
        audience: Audience,
    ) -> Result<Result<(TokenUse, Claims), InvalidToken>, Problem> {
        self.learn_keys().await?;
        let tokens = self.sessions.tokens();
        let verified = tokens.verify_any(token, uses, audience);
        if verified != Err(InvalidToken::UNKNOWN_KEY) {
            return Ok(verified);
        }
        tokens.learn_keys(KEYS_MIN_AGE, connection(&self.database)).await?;
        let verified = tokens.verify_any(token, uses, audience);
        if verified == Err(InvalidToken::UNKNOWN_KEY) && tokens.unusable_key().is_some() {
            // Another process accepts the token.
            return Err(Problem::unavailable("The token cannot be verified at the moment.", 2));
        }
        Ok(verified)
    }

    /// Learns of keys that were added to the database or retired. If the database fails, the known
    /// keys stay: the session behind a token is read from the database in any case.
    async fn learn_keys(&self) -> Result<(), Problem> {
        let tokens = self.sessions.tokens();
        match tokens.learn_keys(KEYS_MAX_AGE, connection(&self.database)).await {
            Err(_) if tokens.has_learned_keys() => Ok(()),
            learned => learned,
        }
    }
}

impl Person {
    /// Returns an entry of the audit log about an action of this person, without values.
    pub fn audit_entry<'a>(
        &'a self,
        action: &'a str,
        target_type: &'a str,
        target_id: Option<&'a str>,
    ) -> audit::Entry<'a> {
        let (actor, request) = (audit::Actor::User(&self.profile_id), Some(&*self.request_id));
        audit::Entry::new(actor, action, target_type, target_id, request)
    }
}

/// A signed-in administrator.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// Id of the administrator.
    pub admin_id: AdminId,
    /// Session behind the token.
    pub session_id: SessionId,
    /// Current role of the administrator.
    pub role: AdminRole,
    /// Whether the token is one that enrols a second factor, without a session.
    pub is_enrolling: bool,
    /// Version of the password at which an enrolment token was signed.
    pub(crate) password_version: Option<String>,
    /// Id of the request.
    pub request_id: String,
}

impl Administrator {
    /// Returns an entry of the audit log about an action of this administrator, without values.
    pub fn audit_entry<'a>(
        &'a self,
        action: &'a str,
        target_type: &'a str,
        target_id: Option<&'a str>,
    ) -> audit::Entry<'a> {
        let (actor, request) = (audit::Actor::Admin(&self.admin_id), Some(&*self.request_id));
        audit::Entry::new(actor, action, target_type, target_id, request)
    }
}

/// Routes of a service, each with the authorization that its access demands and the problems that
/// only it answers with. A service cannot add a route without an authorization.
pub struct Api<S> {
    auth: Auth,
    routes: Routes<S>,
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// Creates an empty set of routes.
    pub fn new(service: &'static str, auth: Auth) -> Self {
        Self { auth, routes: Routes::new(service) }
    }

    /// Sets the groups of the routes, in the order in which the document shows them.
    #[must_use]
    pub fn with_tags(mut self, tags: &'static [TagText]) -> Self {
        self.routes = self.routes.with_tags(tags);
        self
    }

    /// Adds a route that needs no token.
    #[must_use]
    pub fn public(
        mut self,
        methods: UtoipaMethodRouter<S>,
        problems: &[&'static ProblemKind],
    ) -> Self {
        self.routes = self.routes.add(RouteAccess::Public, methods, problems);
        self
    }

    /// Adds a route for people who are signed in.
    #[must_use]
    pub fn user(self, methods: UtoipaMethodRouter<S>, problems: &[&'static ProblemKind]) -> Self {
        self.user_with(RouteAccess::User, methods, problems)
    }

    /// Adds a route for people who are signed in, including those who were denied and may submit
    /// again.
    #[must_use]
    pub fn user_retrying(
        self,
        methods: UtoipaMethodRouter<S>,
        problems: &[&'static ProblemKind],
    ) -> Self {
        self.user_with(RouteAccess::UserRetrying, methods, problems)
    }

    fn user_with(
        mut self,
        access: RouteAccess,
        (schemas, paths, router): UtoipaMethodRouter<S>,
        problems: &[&'static ProblemKind],
    ) -> Self {
        let auth = self.auth.clone();
        let router = router.route_layer(from_fn(move |request, next| {
            let auth = auth.clone();
            async move { authorize_person(&auth, access, request, next).await }
        }));
        self.routes = self.routes.add(access, (schemas, paths, router), problems);
        self
    }

    /// Adds a route for administrators with at least this role.
    #[must_use]
    pub fn admin(
        self,
        least: AdminRole,
        methods: UtoipaMethodRouter<S>,
        problems: &[&'static ProblemKind],
    ) -> Self {
        self.admin_with(RouteAccess::Admin(least.name()), least, methods, problems)
    }

    /// Adds a route for all administrators, including those who must enrol a second factor before
    /// they can sign in.
    #[must_use]
    pub fn admin_enrolling(
        self,
        methods: UtoipaMethodRouter<S>,
        problems: &[&'static ProblemKind],
    ) -> Self {
        self.admin_with(RouteAccess::AdminEnrolling, AdminRole::Auditor, methods, problems)
    }

    fn admin_with(
        mut self,
        access: RouteAccess,
        least: AdminRole,
        (schemas, paths, router): UtoipaMethodRouter<S>,
        problems: &[&'static ProblemKind],
    ) -> Self {
        let auth = self.auth.clone();
        let needed = AdminAccess { least, may_enrol: access == RouteAccess::AdminEnrolling };
        let router = router.route_layer(from_fn(move |request, next| {
            let auth = auth.clone();
            async move { authorize_administrator(&auth, needed, request, next).await }
        }));
        self.routes = self.routes.add(access, (schemas, paths, router), problems);
        self
    }

    /// Sets the rate limit of the routes that were added last. A public route needs one; others are
    /// limited by their session unless they say otherwise.
    #[must_use]
    pub fn limited(mut self, limit: RouteLimit) -> Self {
        self.routes = self.routes.limited(limit);
        self
    }

    /// Builds the service from these routes.
    ///
    /// # Panics
    /// If a public route has no rate limit; the message names the route.
    pub fn into_service(self, state: S, parts: ServiceParts) -> Service {
        self.routes.into_service(state, parts)
    }
}

/// Handles a request of a person: authorizes it, and passes the person on to the handler and the
/// log line.
async fn authorize_person(
    auth: &Auth,
    needed: RouteAccess,
    mut request: Request,
    next: Next,
) -> Response {
    let found = match Sender::of(&request) {
        Ok(sender) => person(auth, needed, sender).await,
        Err(problem) => Err(problem),
    };
    let person = match found {
        Ok(person) => person,
        Err(problem) => return rejected(problem),
    };
    set_principal(person.profile_id.as_str());
    let actor = LoggedActor::Person(person.profile_id.clone());
    request.extensions_mut().insert(person);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(actor);
    response
}

/// What a route for administrators demands.
#[derive(Clone, Copy)]
pub(crate) struct AdminAccess {
    pub(crate) least: AdminRole,
    /// Whether a token that enrols a second factor is accepted, too.
    pub(crate) may_enrol: bool,
}

/// Handles a request of an administrator in the same way.
async fn authorize_administrator(
    auth: &Auth,
    needed: AdminAccess,
    mut request: Request,
    next: Next,
) -> Response {
    let found = match Sender::of(&request) {
        Ok(sender) => administrator(auth, needed, sender).await,
        Err(problem) => Err(problem),
    };
    let administrator = match found {
        Ok(administrator) => administrator,
        Err(problem) => return rejected(problem),
    };
    set_principal(administrator.admin_id.as_str());
    let actor = LoggedActor::Admin(administrator.admin_id.clone());
    request.extensions_mut().insert(administrator);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(actor);
    response
}

/// What the authorization reads of a request.
pub(crate) struct Sender<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) limits: RequestLimits,
    pub(crate) request_id: String,
}

impl<'a> Sender<'a> {
    fn of(request: &'a Request) -> Result<Self, Problem> {
        let id = request.extensions().get::<RequestId>();
        Ok(Self {
            headers: request.headers(),
            limits: RequestLimits::of(request)?,
            request_id: id.map(|id| id.0.clone()).unwrap_or_default(),
        })
    }
}

fn rejected(problem: Problem) -> Response {
    let code = problem.kind().code;
    metrics::counter!("gx_gate_refusals_total", "code" => code).increment(1);
    problem.into_response()
}

/// Returns the person whose token and session permit a route.
pub(crate) async fn person(
    auth: &Auth,
    needed: RouteAccess,
    sender: Sender<'_>,
) -> Result<Person, Problem> {
    let (_, claims) = limited_claims(auth, &sender, Audience::User, &[TokenUse::Access]).await?;
    let mut conn = connection(&auth.database).await?;
    let (profile_id, session_id) = (claims.sub.into(), claims.sid);
    let now = auth.clock.now();
    let found = valid_sessions::person(&mut conn, &session_id, &profile_id, now).await?;
    let ValidPerson { status, access, last_used_at } = found.ok_or_else(session_ended)?;
    note_use(auth, &mut conn, Realm::User, &session_id, last_used_at).await;
    if access == gx_model::AccountAccess::KycOnly && needed != RouteAccess::UserRetrying {
        return Err(Problem::forbidden("Only the KYC routes are open until you submit again."));
    }
    Ok(Person { profile_id, session_id, status, access, request_id: sender.request_id })
}

/// Returns the administrator whose token, session and role permit a route.
pub(crate) async fn administrator(
    auth: &Auth,
    AdminAccess { least, may_enrol }: AdminAccess,
    sender: Sender<'_>,
) -> Result<Administrator, Problem> {
    let uses: &[TokenUse] = match may_enrol {
        true => &[TokenUse::Access, TokenUse::Enrolment],
        false => &[TokenUse::Access],
    };
    let (token_use, claims) = limited_claims(auth, &sender, Audience::Admin, uses).await?;
    let mut conn = connection(&auth.database).await?;
    let (admin_id, session_id) = (AdminId::from(claims.sub), claims.sid);
    let is_enrolling = token_use == TokenUse::Enrolment;
    let password_version = claims.password_version;
    let role = if is_enrolling {
        let version = password_version.as_deref();
        valid_sessions::enrolling_role(&mut conn, &admin_id, version).await?
    } else {
        let (sessions, now) = (&auth.sessions, auth.clock.now());
        let row = valid_sessions::administrator(sessions, &mut conn, &session_id, &admin_id, now);
        let row = row.await?.ok_or_else(session_ended)?;
        note_use(auth, &mut conn, Realm::Admin, &session_id, row.last_used_at).await;
        Some(row.role)
    };
    let role = role.and_then(|role| AdminRole::from_name(&role)).ok_or_else(session_ended)?;
    if !role.includes(least) {
        let detail = format!("This route needs the role {} or a higher one.", least.name());
        return Err(Problem::forbidden(detail));
    }
    let request_id = sender.request_id;
    Ok(Administrator { admin_id, session_id, role, is_enrolling, password_version, request_id })
}

/// Stores that a session is used, unless an earlier use within [`Sessions::last_used_step`] is
/// stored. A failure ends no request: one that only reads is answered while nothing can be written.
async fn note_use(
    auth: &Auth,
    conn: &mut PgConnection,
    realm: Realm,
    session_id: &SessionId,
    last_used_at: OffsetDateTime,
) {
    let now = auth.clock.now();
    if now - last_used_at < auth.sessions.last_used_step(realm) {
        return;
    }
    if let Err(error) = store::set_last_used(conn, realm, session_id, last_used_at, now).await {
        tracing::warn!(error = %ErrorChain(&error), session = %session_id,
            "the last use of session {session_id} could not be stored");
    }
}

/// Verifies the token of a request, counts the request by its session, and returns the token's use
/// and claims. A request without a valid token is counted by its client. For a request above its
/// quota nothing is read from the database but the keys of tokens, if they were read long ago or do
/// not have the token's.
async fn limited_claims(
    auth: &Auth,
    sender: &Sender<'_>,
    audience: Audience,
    uses: &[TokenUse],
) -> Result<(TokenUse, Claims), Problem> {
    let verified = claims(auth, sender.headers, audience, uses).await;
    let session_id = verified.as_ref().ok().map(|(_, claims)| claims.sid.as_str());
    sender.limits.admit_session(session_id).await?;
    verified
}

/// Verifies the token in the field `Authorization` and returns its use and claims. The reason of a
/// rejection is only logged.
async fn claims(
    auth: &Auth,
    headers: &HeaderMap,
    audience: Audience,
    uses: &[TokenUse],
) -> Result<(TokenUse, Claims), Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(Problem::unauthenticated("Send a token as Authorization: Bearer.", false));
    };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else {
        return Err(Problem::unauthenticated("Send a token as Authorization: Bearer.", false));
    };
    auth.verify(token.trim(), uses, audience).await?.map_err(|error| {
        tracing::info!(%error, "a token was rejected");
        Problem::unauthenticated("The token is not valid. Sign in again.", true)
    })
}

/// Returns the person that the authorization has found. A public route has none, so a handler that
/// asks for one there fails with 401.
impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(session_ended)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(session_ended)
    }
}
