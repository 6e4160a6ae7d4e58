//! The id of a request. The request layer adds it; handlers and idempotency keys read it.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::problem::Problem;

/// The id under which a request is logged and answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self(String::new())))
    }
}
