//! Errors as clients read them: RFC 9457 `application/problem+json` with a stable code.
//!
//! Handlers and extractors return a problem for every failure; the request layer writes it with the
//! request's id. A problem contains only information for the client. The error for the operator is
//! logged where the failure is handled, under the same request id.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use gx_db::DatabaseFailure;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

/// A kind of problem, with its stable code, status and title.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// Stable code in lower snake case; clients may switch on it.
    pub code: &'static str,
    /// The HTTP status. It is a number because a constant cannot check the range of a `StatusCode`.
    pub status: u16,
    /// The rule that was broken; the same for every problem of the kind.
    pub title: &'static str,
}

impl ProblemKind {
    /// Creates a kind of problem. Panics at compile time if the status is not 4xx or 5xx.
    pub const fn new(code: &'static str, status: u16, title: &'static str) -> Self {
        assert!(status >= 400 && status < 600, "a problem has a status of 4xx or 5xx");
        Self { code, status, title }
    }

    /// Returns the URI reference that names the kind and leads to its description.
    pub fn uri(&self) -> String {
        format!("/problems#{}", self.fragment())
    }

    /// Returns the code, or the name under which IANA registered the kind.
    pub(crate) fn fragment(&self) -> &'static str {
        match self.code {
            "quota_exceeded" => "quota-exceeded",
            "temporary_reduced_capacity" => "temporary-reduced-capacity",
            code => code,
        }
    }
}

/// Kinds of problems that any route may answer with.
pub mod kind {
    use super::ProblemKind;

    /// Fields of the request are missing, malformed or unknown.
    pub const VALIDATION_FAILED: ProblemKind =
        ProblemKind::new("validation_failed", 400, "The request is not valid");
    /// The body is not JSON.
    pub const MALFORMED_JSON: ProblemKind =
        ProblemKind::new("malformed_json", 400, "The body is not JSON");
    /// The request cannot be read.
    pub const BAD_REQUEST: ProblemKind =
        ProblemKind::new("bad_request", 400, "The request cannot be read");
    /// The token is missing or no longer valid.
    pub const UNAUTHENTICATED: ProblemKind =
        ProblemKind::new("unauthenticated", 401, "Sign in first");
    /// The token is valid and does not permit this route.
    pub const FORBIDDEN: ProblemKind =
        ProblemKind::new("forbidden", 403, "You are not allowed to do this");
    /// The path or the object does not exist.
    pub const NOT_FOUND: ProblemKind = ProblemKind::new("not_found", 404, "Not found");
    /// The path exists and does not have the method.
    pub const METHOD_NOT_ALLOWED: ProblemKind =
        ProblemKind::new("method_not_allowed", 405, "The path does not have this method");
    /// The client took too long to send the request.
    pub const REQUEST_TIMEOUT: ProblemKind =
        ProblemKind::new("request_timeout", 408, "The request took too long to arrive");
    /// The body exceeds the limit of the route.
    pub const BODY_TOO_LARGE: ProblemKind =
        ProblemKind::new("body_too_large", 413, "The body is too large");
    /// The URL exceeds the limit.
    pub const URI_TOO_LONG: ProblemKind =
        ProblemKind::new("uri_too_long", 414, "The address is too long");
    /// The route does not accept the type of the body.
    pub const UNSUPPORTED_MEDIA_TYPE: ProblemKind =
        ProblemKind::new("unsupported_media_type", 415, "The body is of an unsupported type");
    /// The header fields exceed the limits.
    pub const HEADERS_TOO_LARGE: ProblemKind =
        ProblemKind::new("headers_too_large", 431, "The header fields are too large");
    /// The request failed on our side.
    pub const INTERNAL: ProblemKind =
        ProblemKind::new("internal", 500, "Something went wrong on our side");
    /// The service is overloaded, or a dependency of the route is missing; the client may retry.
    pub const UNAVAILABLE: ProblemKind =
        ProblemKind::new("temporary_reduced_capacity", 503, "Temporarily unavailable");
    /// Another request is changing the same row; the client may retry.
    pub const LOCKED: ProblemKind =
        ProblemKind::new("temporarily_locked", 503, "Another request is changing this");
    /// The response took too long.
    pub const TIMEOUT: ProblemKind = ProblemKind::new("timeout", 504, "The response took too long");

    /// The caller has used up a quota; `violated-policies` names it.
    pub const QUOTA_EXCEEDED: ProblemKind =
        ProblemKind::new("quota_exceeded", 429, "Too many requests");

    /// The kinds of this module that any route may answer with, as the page `/problems` lists them.
    pub const ALL: [&ProblemKind; 17] = [
        &VALIDATION_FAILED,
        &MALFORMED_JSON,
        &BAD_REQUEST,
        &UNAUTHENTICATED,
        &FORBIDDEN,
        &NOT_FOUND,
        &METHOD_NOT_ALLOWED,
        &REQUEST_TIMEOUT,
        &BODY_TOO_LARGE,
        &URI_TOO_LONG,
        &UNSUPPORTED_MEDIA_TYPE,
        &QUOTA_EXCEEDED,
        &HEADERS_TOO_LARGE,
        &INTERNAL,
        &UNAVAILABLE,
        &LOCKED,
        &TIMEOUT,
    ];
}

/// Seconds after which a client may repeat a request about a row that another request changes.
const ROW_LOCKED_RETRY_AFTER_S: &str = "5";

/// A field of the request that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvalidField {
    /// JSON Pointer into the body, or into the object of query parameters by their names.
    pub pointer: String,
    /// `required`, `unknown`, `duplicate`, `type`, `too_long`, `too_short`, `range`, `format`, or a
    /// code that only this field has.
    pub code: &'static str,
    /// The error, and the valid values.
    pub message: String,
}

/// The answer to a request that failed.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: &'static ProblemKind,
    detail: String,
    errors: Vec<InvalidField>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// `None` in most problems, so that results with a problem stay small.
    rare: Option<Box<RareMembers>>,
    failure: Option<DatabaseFailure>,
}

/// Members that few problems have.
#[derive(Clone, Debug, Default)]
struct RareMembers {
    violated_policies: &'static [&'static str],
    enrolment_token: Option<SecretString>,
}

/// The JSON body of a [`Problem`].
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// URI reference that names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// Title, the same for every problem of the kind.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// The error in this request, and the remedy.
    detail: &'a str,
    /// The path of the request.
    instance: &'a str,
    /// Stable code of the kind.
    code: &'a str,
    /// Quote it when asking for help.
    request_id: &'a str,
    /// All invalid fields, in validation problems.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [InvalidField],
    /// Names of the quotas that are used up, in problems of status 429.
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    violated_policies: &'a [&'static str],
    /// Token with which to enrol a second factor, in problems that demand one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    enrolment_token: Option<&'a str>,
}

impl Problem {
    /// Creates a problem. The detail names the error in this request and the remedy.
    pub fn new(kind: &'static ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            rare: None,
            failure: None,
        }
    }

    /// Creates a validation problem with all invalid fields.
    pub fn invalid(errors: Vec<InvalidField>) -> Self {
        let detail = match errors.len() {
            1 => "One field is not valid.".to_owned(),
            n => format!("{n} fields are not valid."),
        };
        Self::new(&kind::VALIDATION_FAILED, detail).with_errors(errors)
    }

    /// Creates the problem of a failure on our side and logs the error, which the client never
    /// sees. If the failure is temporary, the problem says so.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(failure) = DatabaseFailure::of(error) {
            return Self::of_database_failure(failure, error);
        }
        tracing::error!(error = %ErrorChain(error), "a request failed on our side; report what `error` names");
        Self::recorded()
    }

    /// Creates the problem of a failure on our side that has been logged.
    pub(crate) fn recorded() -> Self {
        Self::new(
            &kind::INTERNAL,
            "The failure has been recorded. Quote the requestId when asking.",
        )
    }

    /// Creates the problem of a database failure that concerns further requests, too.
    fn of_database_failure(failure: DatabaseFailure, error: &dyn std::error::Error) -> Self {
        tracing::warn!(error = %ErrorChain(error), "the database is not available");
        let mut problem = Self::unavailable("The database is not available at the moment.", 2);
        problem.failure = Some(failure);
        problem
    }

    /// Creates a problem that tells the client to retry after `retry_after_s` seconds.
    pub fn unavailable(detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(&kind::UNAVAILABLE, detail).with_header(RETRY_AFTER, &retry_after_s.to_string())
    }

    /// Creates the problem of a row that another request is changing.
    pub fn row_locked() -> Self {
        Self::new(&kind::LOCKED, "Nothing was changed. Repeat the request in a moment.")
            .with_header(RETRY_AFTER, ROW_LOCKED_RETRY_AFTER_S)
    }

    /// Creates the problem of a token that is missing or no longer valid. RFC 6750: the challenge
    /// has no error code if no token was sent.
    pub fn unauthenticated(detail: impl Into<String>, token_was_sent: bool) -> Self {
        let challenge = if token_was_sent { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        Self::new(&kind::UNAUTHENTICATED, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// Creates the problem of a valid token that does not permit the route.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(&kind::FORBIDDEN, detail)
            .with_header(WWW_AUTHENTICATE, "Bearer error=\"insufficient_scope\"")
    }

    /// Adds a header field to the response. An invalid value is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Adds the invalid fields.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<InvalidField>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds the names of the quotas that are used up.
    #[must_use]
    pub fn with_violated_policies(mut self, policies: &'static [&'static str]) -> Self {
        self.rare.get_or_insert_default().violated_policies = policies;
        self
    }

    /// Adds the token with which the client enrols a second factor.
    #[must_use]
    pub fn with_enrolment_token(mut self, token: SecretString) -> Self {
        self.rare.get_or_insert_default().enrolment_token = Some(token);
        self
    }

    /// Returns the kind of problem.
    pub fn kind(&self) -> &'static ProblemKind {
        self.kind
    }

    /// Returns the error in this request, and the remedy.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the invalid fields.
    pub fn errors(&self) -> &[InvalidField] {
        &self.errors
    }

    /// Returns the database failure behind this problem if it concerns further requests.
    pub fn database_failure(&self) -> Option<&DatabaseFailure> {
        self.failure.as_ref()
    }

    /// Returns the response to the request `request_id` for the path `instance`.
    pub fn respond(&self, request_id: &str, instance: &str) -> Response {
        let rare = self.rare.as_deref();
        let body = ProblemBody {
            kind: self.kind.uri(),
            title: self.kind.title,
            status: self.kind.status,
            detail: &self.detail,
            instance,
            code: self.kind.code,
            request_id,
            errors: &self.errors,
            violated_policies: rare.map_or(&[], |rare| rare.violated_policies),
            enrolment_token: rare
                .and_then(|rare| rare.enrolment_token.as_ref())
                .map(ExposeSecret::expose_secret),
        };
        let json = serde_json::to_vec(&body).expect("a problem has only text keys");
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = StatusCode::from_u16(self.kind.status)
            .expect("ProblemKind::new admits 400 to 599 only");
        response.headers_mut().extend(self.headers.iter().cloned());
        // RFC 9110: a 401 must say how to authenticate, also after a failed login.
        if response.status() == StatusCode::UNAUTHORIZED {
            let challenge = response.headers_mut().entry(WWW_AUTHENTICATE);
            challenge.or_insert(HeaderValue::from_static("Bearer"));
        }
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// The request layer writes the body again, with the request's id and path. A router without the
/// layer answers without them.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.respond("", "");
        response.extensions_mut().insert(self);
        response
    }
}

/// Makes a failed statement a problem: 503 if the same request may succeed later, 500 otherwise.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if gx_db::is_lock_timeout(&error) {
            tracing::warn!(error = %ErrorChain(&error), "a database lock timed out");
            return Self::row_locked();
        }
        if let Some(failure) = DatabaseFailure::of(&error) {
            return Self::of_database_failure(failure, &error);
        }
        if is_unavailable(&error) {
            tracing::warn!(error = %ErrorChain(&error), "the database is not available");
            return Self::unavailable("The database is not available at the moment.", 2);
        }
        Self::internal(&error)
    }
}

/// Returns whether the same request may succeed in a moment.
fn is_unavailable(error: &sqlx::Error) -> bool {
    /// Connection lost, shutdown or failover, read-only after a failover, session ended by the
    /// server because its transaction was idle, out of connections, statement timeout, deadlock,
    /// serialisation failure.
    const PASSING: [&str; 7] = ["08", "57", "25006", "25P03", "53", "40", "58"];
    match error {
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| PASSING.iter().any(|class| code.starts_with(class)))
        }
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Configuration(_)
        | sqlx::Error::Io(_) => true,
        _ => false,
    }
}

/// Displays an error and its causes on one line: what failed, the causes after colons, and the
/// remedy, which is the text of the error after its last semicolon.
pub struct ErrorChain<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        let (what, remedy) = text.rfind("; ").map_or((&*text, ""), |at| text.split_at(at));
        let mut chain = what.to_owned();
        let mut cause = self.0.source();
        while let Some(next) = cause {
            let text = next.to_string();
            let text = text.strip_suffix(remedy).unwrap_or(&text);
            if !chain.contains(text) {
                chain = format!("{chain}: {text}");
            }
            cause = next.source();
        }
        write!(f, "{chain}{remedy}")
    }
}
