//! Errors as clients see them: RFC 9457 `application/problem+json` with a stable code.
//!
//! A problem says what the client may know and nothing else. What an operator must know is
//! logged where the failure is handled; the two meet in the request id.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// One kind of problem: its stable code, its status and its title.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// Stable, in lower snake case; clients may switch on it.
    pub code: &'static str,
    /// The HTTP status, as a number because a `StatusCode` of the wrong kind cannot be checked
    /// in a constant.
    pub status: u16,
    /// What has happened, the same for every occurrence.
    pub title: &'static str,
}

impl ProblemKind {
    /// A kind of problem.
    pub const fn new(code: &'static str, status: u16, title: &'static str) -> Self {
        assert!(status >= 400 && status < 600, "a problem has a status of 4xx or 5xx");
        Self { code, status, title }
    }

    /// The URI reference that names the kind and leads to its description.
    pub fn uri(&self) -> String {
        format!("/problems#{}", self.code)
    }
}

/// The kinds that any route may answer.
pub mod kind {
    use super::ProblemKind;

    /// The request has fields that are missing, malformed or unknown.
    pub const VALIDATION_FAILED: ProblemKind =
        ProblemKind::new("validation_failed", 400, "The request is not valid");
    /// The body is no JSON.
    pub const MALFORMED_JSON: ProblemKind =
        ProblemKind::new("malformed_json", 400, "The body is not JSON");
    /// The request cannot be read at all.
    pub const BAD_REQUEST: ProblemKind =
        ProblemKind::new("bad_request", 400, "The request cannot be read");
    /// No token, or one that is not valid any more.
    pub const UNAUTHENTICATED: ProblemKind =
        ProblemKind::new("unauthenticated", 401, "Sign in first");
    /// A valid token that does not reach this route.
    pub const FORBIDDEN: ProblemKind =
        ProblemKind::new("forbidden", 403, "You are not allowed to do this");
    /// Nothing is there.
    pub const NOT_FOUND: ProblemKind = ProblemKind::new("not_found", 404, "Not found");
    /// The path exists, the method does not.
    pub const METHOD_NOT_ALLOWED: ProblemKind =
        ProblemKind::new("method_not_allowed", 405, "The path has no such method");
    /// The client took too long to send its request.
    pub const REQUEST_TIMEOUT: ProblemKind =
        ProblemKind::new("request_timeout", 408, "The request took too long to arrive");
    /// The state of the thing does not allow the action.
    pub const CONFLICT: ProblemKind =
        ProblemKind::new("conflict", 409, "The present state does not allow this");
    /// The body is too large.
    pub const BODY_TOO_LARGE: ProblemKind =
        ProblemKind::new("body_too_large", 413, "The body is too large");
    /// The URL is too long.
    pub const URI_TOO_LONG: ProblemKind =
        ProblemKind::new("uri_too_long", 414, "The address is too long");
    /// The body is of a type that the route does not take.
    pub const UNSUPPORTED_MEDIA_TYPE: ProblemKind =
        ProblemKind::new("unsupported_media_type", 415, "The body is of an unsupported type");
    /// The header fields are too large.
    pub const HEADERS_TOO_LARGE: ProblemKind =
        ProblemKind::new("headers_too_large", 431, "The header fields are too large");
    /// A failure on our side.
    pub const INTERNAL: ProblemKind =
        ProblemKind::new("internal", 500, "Something went wrong on our side");
    /// The service is overloaded or lacks what this route needs; worth a retry.
    pub const UNAVAILABLE: ProblemKind =
        ProblemKind::new("temporary_reduced_capacity", 503, "Try again in a moment");
    /// The answer took too long.
    pub const TIMEOUT: ProblemKind = ProblemKind::new("timeout", 504, "The answer took too long");

    /// All of them, as the page at `/problems` lists them.
    pub const ALL: [&ProblemKind; 16] = [
        &VALIDATION_FAILED,
        &MALFORMED_JSON,
        &BAD_REQUEST,
        &UNAUTHENTICATED,
        &FORBIDDEN,
        &NOT_FOUND,
        &METHOD_NOT_ALLOWED,
        &REQUEST_TIMEOUT,
        &CONFLICT,
        &BODY_TOO_LARGE,
        &URI_TOO_LONG,
        &UNSUPPORTED_MEDIA_TYPE,
        &HEADERS_TOO_LARGE,
        &INTERNAL,
        &UNAVAILABLE,
        &TIMEOUT,
    ];
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvalidField {
    /// JSON Pointer into the body, or into the object of query parameters by their names.
    pub pointer: String,
    /// `required`, `unknown`, `duplicate`, `type`, `too_long`, `too_short`, `range`,
    /// `format`, or a code of the field's own.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

/// The answer to a request that failed.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: &'static ProblemKind,
    detail: String,
    errors: Vec<InvalidField>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of a [`Problem`].
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// URI reference that names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem of the kind.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong this time, and what to do.
    detail: &'a str,
    /// The path that was asked for.
    instance: &'a str,
    /// Stable code of the kind.
    code: &'a str,
    /// Quote it when asking for help.
    request_id: &'a str,
    /// Every field that is wrong, in validation problems.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [InvalidField],
}

impl Problem {
    /// A problem of that kind; the detail says what is wrong this time and what to do.
    pub fn new(kind: &'static ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), headers: Vec::new() }
    }

    /// A validation problem with every field that is wrong.
    pub fn invalid(errors: Vec<InvalidField>) -> Self {
        let detail = match errors.len() {
            1 => "One field is not valid.".to_owned(),
            n => format!("{n} fields are not valid."),
        };
        Self::new(&kind::VALIDATION_FAILED, detail).with_errors(errors)
    }

    /// A failure on our side. The cause is logged here, once, and never reaches the client.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(cause = %Chain(cause), "a request failed on our side");
        Self::new(
            &kind::INTERNAL,
            "The failure has been recorded. Quote the requestId when asking.",
        )
    }

    /// Not available at the moment; the client may retry after that many seconds.
    pub fn unavailable(detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(&kind::UNAVAILABLE, detail).with_header(RETRY_AFTER, &retry_after_s.to_string())
    }

    /// No token, or one that is no longer valid. RFC 6750: no error code when none was sent.
    pub fn unauthenticated(detail: impl Into<String>, token_was_sent: bool) -> Self {
        let challenge = if token_was_sent { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        Self::new(&kind::UNAUTHENTICATED, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// A valid token that does not reach the route.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(&kind::FORBIDDEN, detail)
            .with_header(WWW_AUTHENTICATE, "Bearer error=\"insufficient_scope\"")
    }

    /// Adds a header field to the answer. A value that is no header value is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Adds the fields that are wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<InvalidField>) -> Self {
        self.errors = errors;
        self
    }

    /// The kind.
    pub fn kind(&self) -> &'static ProblemKind {
        self.kind
    }

    /// What is wrong this time, and what to do.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The fields that are wrong.
    pub fn errors(&self) -> &[InvalidField] {
        &self.errors
    }

    /// The answer, as given to the request of that id for that path.
    pub fn respond(&self, request_id: &str, instance: &str) -> Response {
        let body = ProblemBody {
            kind: self.kind.uri(),
            title: self.kind.title,
            status: self.kind.status,
            detail: &self.detail,
            instance,
            code: self.kind.code,
            request_id,
            errors: &self.errors,
        };
        let json = serde_json::to_vec(&body).expect("a problem has only text keys");
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = StatusCode::from_u16(self.kind.status)
            .expect("ProblemKind::new admits 400 to 599 only");
        response.headers_mut().extend(self.headers.iter().cloned());
        // RFC 9110: a 401 says how to authenticate, a refused login included.
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

/// The envelope layer writes the body again with the request's id and path; this one is what
/// a bare router answers.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.respond("", "");
        response.extensions_mut().insert(self);
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if is_unavailable(&error) {
            tracing::warn!(cause = %Chain(&error), "the database is not available");
            return Self::unavailable("The database is not available at the moment.", 2);
        }
        Self::internal(&error)
    }
}

/// Whether the same request may well succeed in a moment.
fn is_unavailable(error: &sqlx::Error) -> bool {
    /// Connection lost, shutdown or failover, read-only after one, out of connections,
    /// statement timeout, deadlock, serialisation.
    const PASSING: [&str; 7] = ["08", "57", "25006", "53", "55P03", "40", "58"];
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

/// An error and its causes on one line.
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(next) = cause {
            write!(f, ": {next}")?;
            cause = next.source();
        }
        Ok(())
    }
}
