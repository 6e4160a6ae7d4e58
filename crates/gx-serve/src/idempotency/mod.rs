//! Requests that a client may repeat: the same key gets the first answer again
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! A handler asks [`begin`] in the transaction of its work and hands the result to
//! [`Fresh::finish`], which stores the answer in that transaction. So a crash leaves either
//! work and answer or neither. A failure that repeating may cure (5xx) is not stored.

mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use gx_db::{PgConnection, Postgres, Transaction};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::envelope::KeepBody;
use crate::problem::{Problem, ProblemKind};
use crate::{Reply, RequestId};
use store::Answer;

/// The field that carries the key.
pub const HEADER: &str = "idempotency-key";
/// Its older name, under which clients also send the key without quotes.
pub const OLDER_HEADER: &str = "x-idempotency-key";
/// Longest key.
pub const KEY_LIMIT: usize = 128;
/// How long an answer is kept for repetition.
pub const KEPT_FOR: Duration = Duration::from_hours(24);

/// The route takes no request without a key.
pub const KEY_REQUIRED: ProblemKind =
    ProblemKind::new("idempotency_key_required", 400, "A usable Idempotency-Key is missing");
/// The key was used for another request.
pub const KEY_REUSED: ProblemKind = ProblemKind::new(
    "idempotency_key_reused",
    422,
    "The Idempotency-Key belongs to another request",
);
/// The first request with the key is being worked on.
pub const IN_PROGRESS: ProblemKind =
    ProblemKind::new("request_in_progress", 409, "The first request with this key is not finished");
/// The kinds of problems of a route with keys.
pub const PROBLEMS: [&ProblemKind; 3] = [&KEY_REQUIRED, &KEY_REUSED, &IN_PROGRESS];

/// A client's name for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key without its quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let refused = |detail: String| Problem::new(&KEY_REQUIRED, detail);
        let named = |name| headers.get_all(name).iter().map(move |value| (name, value));
        let mut given = named(HEADER).chain(named(OLDER_HEADER));
        let (Some((name, value)), None) = (given.next(), given.next()) else {
            return Err(refused(
                "Send one Idempotency-Key, such as \"8e03978e-40d5-43dd-bc93-6894a57f9324\" with \
                 its quotes; repeat it when you repeat the request."
                    .to_owned(),
            ));
        };
        let key = value.to_str().ok().and_then(|text| {
            let bare = (name == OLDER_HEADER).then(|| bare_key(text)).flatten();
            structured_string(text).or(bare)
        });
        let key = key.filter(|key| (1..=KEY_LIMIT).contains(&key.len()));
        key.map(Self).ok_or_else(|| {
            refused(format!("The key is a text of 1 to {KEY_LIMIT} characters in double quotes."))
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::from_headers(&parts.headers)
    }
}

/// The content of an sf-string (RFC 9651, 3.3.3).
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

/// A key without quotes.
fn bare_key(value: &str) -> Option<String> {
    let text = value.trim();
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"').then(|| text.to_owned())
}

/// Whose request it is, and what it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks: keys of different people have nothing to do with each other.
    pub principal: &'a str,
    /// The route's path, which has no parameters.
    pub route: &'static str,
    /// The client's key.
    pub key: &'a IdempotencyKey,
    /// The request, as far as it decides what is done.
    pub fingerprint: [u8; 32],
    /// Under which id it is answered.
    pub request_id: &'a RequestId,
}

/// SHA-256 of the parts of a request that decide what is done.
pub fn fingerprint(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// What a key stands for at this moment.
#[derive(Debug)]
pub enum Begun<'a> {
    /// The request was answered before: the same answer again.
    Answered(Box<Response>),
    /// The first request with this key.
    Fresh(Fresh<'a>),
}

/// A request that nobody else with its key works on until it is finished.
#[derive(Debug)]
pub struct Fresh<'a> {
    tx: Transaction<'static, Postgres>,
    asked: Asked<'a>,
    now: OffsetDateTime,
}

/// Looks the key up and keeps others with the same key out until the transaction ends.
///
/// # Errors
/// [`IN_PROGRESS`], [`KEY_REUSED`], or the database's.
pub async fn begin<'a>(
    mut tx: Transaction<'static, Postgres>,
    asked: Asked<'a>,
    now: OffsetDateTime,
) -> Result<Begun<'a>, Problem> {
    if !store::try_lock(&mut tx, &asked).await? {
        return Err(Problem::new(&IN_PROGRESS, "Wait for its answer, or repeat it in a moment."));
    }
    let Some(answer) = store::answer(&mut tx, &asked, now).await? else {
        return Ok(Begun::Fresh(Fresh { tx, asked, now }));
    };
    // A transaction that is only dropped would keep its lock for a moment longer.
    tx.rollback().await?;
    if answer.fingerprint == asked.fingerprint {
        Ok(Begun::Answered(Box::new(answer.into_response())))
    } else {
        Err(reused())
    }
}

/// The refusal of a key that belongs to another request.
pub fn reused() -> Problem {
    Problem::new(&KEY_REUSED, "Use a new key for a new request.")
}

impl Fresh<'_> {
    /// The transaction in which the work is done.
    pub fn transaction(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Stores the answer beside the work and commits both. Work that was refused must have
    /// written nothing: it decides before it writes.
    ///
    /// # Errors
    /// The refusal itself where it is not worth storing, or the database's.
    pub async fn finish<T: Serialize>(
        mut self,
        worked: Result<Reply<T>, Problem>,
    ) -> Result<Response, Problem> {
        let response = match worked {
            Err(problem) if is_of_this_request_alone(&problem) => {
                self.tx.rollback().await?;
                return Err(problem);
            }
            Err(problem) => problem.respond(&self.asked.request_id.0, self.asked.route),
            Ok(reply) => reply.into_response(),
        };
        let (mut parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|why| Problem::internal(&why))?.to_bytes();
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let answer = Answer {
            fingerprint: self.asked.fingerprint.to_vec(),
            status: i16::try_from(parts.status.as_u16()).expect("a status has three digits"),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: body.to_vec(),
        };
        store::keep(&mut self.tx, &self.asked, &answer, self.now, self.now + KEPT_FOR).await?;
        store::forget_expired(&mut self.tx, self.now).await?;
        self.tx.commit().await?;
        parts.extensions.insert(KeepBody);
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

/// Whether the same key may well get another answer later: after a failure on our side, or when
/// it turned out to belong to another request.
fn is_of_this_request_alone(problem: &Problem) -> bool {
    problem.kind().status >= 500 || *problem.kind() == KEY_REUSED
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = u16::try_from(self.status).ok();
        let status = status.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.expect("only statuses of answers are stored");
        let content_type = [(CONTENT_TYPE, self.content_type)];
        let mut response = (status, content_type, Body::from(self.body)).into_response();
        response.extensions_mut().insert(KeepBody);
        response
    }
}
