//! Extractors whose refusals are problems that name every field.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::fields::{Fields, FromFields, Members};
use crate::limits::{BODY_LIMIT_BYTES, discard};
use crate::problem::{InvalidField, Problem, kind};

/// A JSON body. An absent body reads as an object without members.
pub struct Json<T>(pub T);

impl<T: FromFields, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body).await?;
        let members = if bytes.is_empty() {
            Members::default()
        } else {
            require_json(&parts.headers)?;
            parse(&bytes)?
        };
        let now = arrived(&parts)?;
        Fields::read(members, now).map(Json).map_err(Problem::invalid)
    }
}

/// When a request arrived, as an extension of each.
#[derive(Clone, Copy, Debug)]
pub struct ArrivedAt(pub OffsetDateTime);

/// The envelope has noted it; a router without one serves nothing.
fn arrived(parts: &Parts) -> Result<OffsetDateTime, Problem> {
    parts
        .extensions
        .get::<ArrivedAt>()
        .map(|at| at.0)
        .ok_or_else(|| Problem::new(&kind::INTERNAL, "The service is not set up completely."))
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence == "application/json" {
        return Ok(());
    }
    Err(Problem::new(&kind::UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json."))
}

fn parse(bytes: &[u8]) -> Result<Members, Problem> {
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
            format!("The body stops being JSON at line {line}, column {column}."),
        )
    })
}

async fn read_body(mut body: Body) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::new(&kind::BAD_REQUEST, "The connection broke while the body arrived.")
        })?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > BODY_LIMIT_BYTES {
                discard(body).await;
                return Err(too_large());
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}

pub(crate) fn too_large() -> Problem {
    Problem::new(
        &kind::BODY_TOO_LARGE,
        format!("A body may have at most {BODY_LIMIT_BYTES} bytes."),
    )
}

/// The query's parameters.
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

/// The id under which a request is logged and answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self(String::new())))
    }
}

/// Where a request came from, as far as the connection tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The peer's address.
    pub address: Option<std::net::IpAddr>,
    /// What it calls itself, cut to [`Client::AGENT_LIMIT`] characters.
    pub agent: Option<String>,
}

impl Client {
    /// Longest user agent that is kept.
    pub const AGENT_LIMIT: usize = 200;
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let agent = parts.headers.get(http::header::USER_AGENT);
        Ok(Self {
            address: parts.extensions.get::<crate::server::PeerAddress>().map(|peer| peer.0),
            agent: agent
                .and_then(|value| value.to_str().ok())
                .map(|text| text.chars().take(Self::AGENT_LIMIT).collect()),
        })
    }
}

/// A JSON answer.
pub struct Reply<T>(pub StatusCode, pub T);

impl<T> Reply<T> {
    /// 200.
    pub fn ok(body: T) -> Self {
        Self(StatusCode::OK, body)
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.1) {
            Ok(json) => {
                (self.0, [(CONTENT_TYPE, "application/json")], Body::from(json)).into_response()
            }
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}
