//! Idempotency keys: a repeated request with the same key gets the first response again
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! A layer handles the key of every POST, PUT, PATCH and DELETE: it stores the response in the
//! [`RequestTransaction`] of the handler's work, so that a crash keeps both or neither. A route
//! that takes the [`IdempotencyKey`] itself calls [`begin`] and [`FirstRequest::finish`] instead. A
//! failure that a repetition may cure (5xx) is not stored.

mod fingerprint;
mod keyed;
pub(crate) mod layer;
mod store;
#[cfg(test)]
mod tests;
mod transaction;

use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use gx_db::{PgConnection, Postgres, Transaction};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use time::OffsetDateTime;

use crate::problem::{Problem, ProblemKind};
use crate::reply::KeepBody;
use crate::reply::Reply;
use crate::request_id::RequestId;
use store::StoredResponse;

pub use fingerprint::Fingerprint;
pub(crate) use keyed::{KeySettings, body_arrived};
pub use keyed::{file_arrived, is_repeated, set_principal};
pub use transaction::RequestTransaction;

/// Header field with the key.
pub const HEADER: &str = "idempotency-key";
/// Earlier name of the header field.
pub const OLDER_HEADER: &str = "x-idempotency-key";
/// Limit of a key, in characters.
pub const KEY_LIMIT: usize = 128;
/// Time for which a response is kept.
pub const KEPT_FOR: Duration = Duration::from_hours(24);

/// The route accepts no request without a key.
pub const KEY_REQUIRED: ProblemKind =
    ProblemKind::new("idempotency_key_required", 400, "A valid Idempotency-Key is required");
/// The key was used for another request.
pub const KEY_REUSED: ProblemKind = ProblemKind::new(
    "idempotency_key_reused",
    422,
    "The Idempotency-Key belongs to another request",
);
/// The first request with the key is not finished.
pub const IN_PROGRESS: ProblemKind =
    ProblemKind::new("request_in_progress", 409, "The first request with this key is not finished");

/// The problems of every route that changes something.
pub(crate) const PROBLEMS: [&ProblemKind; 3] = [&KEY_REQUIRED, &KEY_REUSED, &IN_PROGRESS];

/// A client's name for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Returns the key without its quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key of a request that may have one.
    fn optional(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let is_given = headers.contains_key(HEADER) || headers.contains_key(OLDER_HEADER);
        if is_given { Self::from_headers(headers).map(Some) } else { Ok(None) }
    }

    /// Returns the key of a request, or [`KEY_REQUIRED`] if it has none, several or an invalid one.
    fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let refused = |detail: String| Problem::new(&KEY_REQUIRED, detail);
        let mut given = headers.get_all(HEADER).iter().chain(headers.get_all(OLDER_HEADER).iter());
        let (Some(value), None) = (given.next(), given.next()) else {
            return Err(refused(
                "Send one Idempotency-Key, such as \"8e03978e-40d5-43dd-bc93-6894a57f9324\"; \
                 repeat it when you repeat the request."
                    .to_owned(),
            ));
        };
        let text = value.to_str().ok();
        let key = text.and_then(|text| structured_string(text).or_else(|| bare_key(text)));
        let key = key.filter(|key| (1..=KEY_LIMIT).contains(&key.len()));
        key.map(Self).ok_or_else(|| {
            refused(format!(
                "The key must be 1 to {KEY_LIMIT} printable characters in double quotes, or the \
                 same without quotes and spaces."
            ))
        })
    }
}

/// A handler that takes the key handles it itself: the layer leaves the request alone.
impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        keyed::leave_to_handler();
        Self::from_headers(&parts.headers)
    }
}

/// Returns the content of an sf-string (RFC 9651, 3.3.3), or `None` if the value is none.
fn structured_string(value: &str) -> Option<String> {
    let inner = value.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut content = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => content.push(rest.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            ' '..='~' if next != '"' => content.push(next),
            _ => return None,
        }
    }
    Some(content)
}

/// Returns a key without quotes, which equals the same key in quotes.
fn bare_key(value: &str) -> Option<String> {
    let text = value.trim();
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"').then(|| text.to_owned())
}

/// A request with an idempotency key.
#[derive(Clone, Copy, Debug)]
pub struct KeyedRequest<'a> {
    /// Id of the caller: keys of different callers are unrelated.
    pub principal: &'a str,
    /// The route: its path, which has no parameters, or method and pattern of the path.
    pub route: &'a str,
    /// The client's key.
    pub key: &'a IdempotencyKey,
    /// Hash of the parts of the request that determine its effect.
    pub fingerprint: &'a Fingerprint,
    /// The id under which the request is answered.
    pub request_id: &'a RequestId,
}

/// Result of [`begin`].
#[derive(Debug)]
pub enum BeginResult<'a> {
    /// The key has a response, which the client gets again.
    Answered(Box<Response>),
    /// No request with this key has finished.
    First(FirstRequest<'a>),
}

/// The first request with a key. Other requests with the key are rejected until it is finished.
#[derive(Debug)]
pub struct FirstRequest<'a> {
    tx: Transaction<'static, Postgres>,
    request: KeyedRequest<'a>,
    now: OffsetDateTime,
}

/// Looks up the key, and locks it until the transaction ends.
///
/// # Errors
/// [`IN_PROGRESS`], [`KEY_REUSED`], or the problem of a database failure.
pub async fn begin<'a>(
    mut tx: Transaction<'static, Postgres>,
    request: KeyedRequest<'a>,
    now: OffsetDateTime,
) -> Result<BeginResult<'a>, Problem> {
    if !store::try_lock(&mut tx, &request).await? {
        return Err(Problem::new(
            &IN_PROGRESS,
            "Wait for the response, or repeat the request in a moment.",
        ));
    }
    let Some(stored) = store::response(&mut tx, &request, now).await? else {
        return Ok(BeginResult::First(FirstRequest { tx, request, now }));
    };
    // Dropping the transaction would keep its lock a moment longer.
    tx.rollback().await?;
    if request.fingerprint.has_hash(stored.key_version, &stored.fingerprint) {
        Ok(BeginResult::Answered(Box::new(stored.into_response())))
    } else {
        Err(reused())
    }
}

/// Returns the problem of a key that belongs to another request.
pub fn reused() -> Problem {
    Problem::new(&KEY_REUSED, "Use a new key for a new request.")
}

impl FirstRequest<'_> {
    /// Returns the transaction in which the work is done.
    pub fn transaction(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Stores the response with the work and commits both. If `worked` is a problem, the work must
    /// not have written anything.
    ///
    /// # Errors
    /// The problem itself if it is not stored, or the problem of a database failure.
    pub async fn finish<T: Serialize>(
        mut self,
        worked: Result<Reply<T>, Problem>,
    ) -> Result<Response, Problem> {
        let response = match worked {
            Err(problem) if is_of_this_request_alone(&problem) => {
                self.tx.rollback().await?;
                return Err(problem);
            }
            Err(problem) => problem.respond(&self.request.request_id.0, self.request.route),
            Ok(reply) => reply.into_response(),
        };
        let (mut parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|why| Problem::internal(&why))?.to_bytes();
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let stored = StoredResponse {
            fingerprint: self.request.fingerprint.hash().to_vec(),
            key_version: self.request.fingerprint.key_version(),
            status: i16::try_from(parts.status.as_u16()).expect("a status has three digits"),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: body.to_vec(),
            is_withheld: false,
        };
        store::keep(&mut self.tx, &self.request, &stored, self.now, self.now + KEPT_FOR).await?;
        self.tx.commit().await?;
        parts.extensions.insert(KeepBody);
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

/// Returns whether the same key may get another response later: after a failure on our side, or if
/// the key turned out to belong to another request.
fn is_of_this_request_alone(problem: &Problem) -> bool {
    problem.kind().status >= 500 || *problem.kind() == KEY_REUSED
}

impl IntoResponse for StoredResponse {
    fn into_response(self) -> Response {
        let status = u16::try_from(self.status).ok();
        let status = status.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.expect("only statuses of answers are stored");
        let mut response = (status, Body::from(self.body)).into_response();
        // An answer without a body, such as a 204, has no type.
        let content_type = HeaderValue::from_str(&self.content_type);
        if let Some(value) = content_type.ok().filter(|value| !value.is_empty()) {
            response.headers_mut().insert(CONTENT_TYPE, value);
        }
        response.extensions_mut().insert(KeepBody);
        response
    }
}
