//! Lists people and shows one of them to administrators. Called by the routes of svc-admin; other
//! routes use [`ProfilePath`] and [`no_user`].

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path};
use gx_db::ProfileId;
use gx_serve::{Problem, ProblemKind};

pub(crate) use http::{Country, page_time};
pub(crate) use store::Search;

/// The person does not exist.
pub(crate) const NO_USER: ProblemKind = ProblemKind::new("no_user", 404, "There is no such user");

/// The profile's id in a path. A text that is not an id is answered like an unknown id.
pub(crate) struct ProfilePath(pub(crate) ProfileId);

impl<S: Send + Sync> FromRequestParts<S> for ProfilePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let id = path.ok().map(|Path(id)| id).filter(|id| is_plain_id(id)).ok_or_else(no_user)?;
        Ok(Self(id.into()))
    }
}

/// Returns whether a text of a path can be an id.
pub(crate) fn is_plain_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Returns the problem for an unknown id.
pub(crate) fn no_user() -> Problem {
    Problem::new(&NO_USER, "Take an id from the list at /api/v1/admin/users.")
}
