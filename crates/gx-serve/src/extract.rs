//! Extractors of requests and the JSON response. Extractors run before the handler of a route. If
//! one rejects the request, the handler is not called and the client gets the problem, which names
//! every invalid field.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::BodyExt;
use serde_json::Value;
use time::OffsetDateTime;

use crate::admission::{BodyMemory, BodyMemoryCounter, ReachedLimit};
use crate::fields::{Fields, FromFields, Members};
use crate::limits::{BODY_TIME_LIMIT, announces_more};
use crate::problem::{InvalidField, Problem, kind};
use crate::repeat::KeptBody;

/// A JSON body. A missing body reads as an object without members.
pub struct Json<T>(pub T);

impl<T: FromFields, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let Received { bytes, memory } = read_body(&parts, body, T::BODY_LIMIT_BYTES).await?;
        let bytes = Bytes::from(bytes);
        let members = if bytes.is_empty() {
            Members::default()
        } else {
            require_json(&parts.method, &parts.headers)?;
            parse(&bytes)?
        };
        if let Some(kept) = parts.extensions.get::<KeptBody>() {
            kept.keep(bytes.clone(), memory);
        }
        let now = arrived(&parts)?;
        crate::idempotency::body_arrived(&bytes).await?;
        Fields::read(members, now).map(Json).map_err(Problem::invalid)
    }
}

/// Arrival time of a request; an extension of each request.
#[derive(Clone, Copy, Debug)]
pub struct ArrivedAt(pub OffsetDateTime);

/// Limit for the body to arrive; an extension of each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyTimeLimit(pub(crate) Duration);

/// Returns the arrival time, which the request layer has set.
pub(crate) fn arrived(parts: &Parts) -> Result<OffsetDateTime, Problem> {
    parts
        .extensions
        .get::<ArrivedAt>()
        .map(|at| at.0)
        .ok_or_else(|| Problem::new(&kind::INTERNAL, "The service is not configured completely."))
}

/// Media types of bodies. A PATCH takes a merge patch (RFC 7396) under either name.
pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
/// Response field that names the patch types of a route (RFC 5789).
const ACCEPT_PATCH: http::HeaderName = http::HeaderName::from_static("accept-patch");

fn require_json(method: &http::Method, headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let patches = *method == http::Method::PATCH;
    if essence == JSON || patches && essence == MERGE_PATCH {
        return Ok(());
    }
    let refused = Problem::new(&kind::UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json.");
    Err(if patches {
        refused.with_header(ACCEPT_PATCH, "application/merge-patch+json, application/json")
    } else {
        refused
    })
}

/// Parses the members of a JSON object.
fn parse(bytes: &[u8]) -> Result<Members, Problem> {
    /// RFC 8259, 8.1: a parser may ignore a byte order mark, which some programs write.
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            return Problem::invalid(vec![InvalidField {
                pointer: String::new(),
                code: "type",
                message: "the body must be a JSON object".to_owned(),
            }]);
        }
        let (line, column) = (error.line(), error.column());
        Problem::new(
            &kind::MALFORMED_JSON,
            format!("The body is not valid JSON at line {line}, column {column}."),
        )
    })
}

/// A body and the memory that is counted for it.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    memory: Option<BodyMemory>,
}

/// Reads a body of at most `limit_bytes`. If Content-Length exceeds the limit, the body is not
/// requested from the client.
async fn read_body(parts: &Parts, body: Body, limit_bytes: usize) -> Result<Received, Problem> {
    if announces_more(&parts.headers, limit_bytes) {
        return Err(too_large(limit_bytes));
    }
    let memory = parts.extensions.get::<BodyMemoryCounter>().map(BodyMemoryCounter::open);
    let time_limit =
        parts.extensions.get::<BodyTimeLimit>().map_or(BODY_TIME_LIMIT, |limit| limit.0);
    let received = receive(body, limit_bytes, Received { bytes: Vec::new(), memory });
    tokio::time::timeout(time_limit, received).await.unwrap_or_else(|_| {
        let detail = format!("The body did not arrive within {} s.", time_limit.as_secs());
        Err(Problem::new(&kind::REQUEST_TIMEOUT, detail))
    })
}

/// Reads a body to its end, and counts its memory.
async fn receive(
    mut body: Body,
    limit_bytes: usize,
    mut received: Received,
) -> Result<Received, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::new(&kind::BAD_REQUEST, "The connection broke while the body arrived.")
        })?;
        let Some(data) = frame.data_ref() else { continue };
        if received.bytes.len() + data.len() > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        if let Some(memory) = &mut received.memory {
            memory.grow(data.len()).map_err(no_memory)?;
        }
        received.bytes.extend_from_slice(data);
    }
    if let Some(memory) = &mut received.memory {
        memory.complete();
    }
    Ok(received)
}

pub(crate) fn no_memory(full: ReachedLimit) -> Problem {
    /// Seconds after which the client may try again.
    const RETRY_AFTER_S: u32 = 1;
    let detail = match full {
        ReachedLimit::Client => "Too many bodies from your address are arriving at once.",
        ReachedLimit::Total => "Too many bodies are arriving at once.",
    };
    Problem::unavailable(detail, RETRY_AFTER_S)
}

pub(crate) fn too_large(limit_bytes: usize) -> Problem {
    let detail = format!("The body of this route may have at most {limit_bytes} bytes.");
    Problem::new(&kind::BODY_TOO_LARGE, detail)
}

/// The query parameters.
pub struct Query<T>(pub T);

impl<T: FromFields, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::new(&kind::BAD_REQUEST, "The query cannot be read."))?;
        let members = pairs.0.into_iter().map(|(name, value)| (name, Value::String(value)));
        let now = arrived(parts)?;
        Fields::read(Members(members.collect()), now).map(Query).map_err(Problem::invalid)
    }
}

/// The sender of a request, as far as the connection tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Address of the client.
    pub address: Option<std::net::IpAddr>,
    /// The user agent, cut to [`Client::AGENT_LIMIT`] characters.
    pub agent: Option<String>,
}

impl Client {
    /// Limit of the user agent, in characters.
    pub const AGENT_LIMIT: usize = 200;
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let agent = parts.headers.get(http::header::USER_AGENT);
        Ok(Self {
            address: parts.extensions.get::<crate::peer_address::PeerAddress>().map(|peer| peer.0),
            agent: agent
                .and_then(|value| value.to_str().ok())
                .map(|text| text.chars().take(Self::AGENT_LIMIT).collect()),
        })
    }
}
