//! People, as administrators see them.

pub(crate) mod http;
mod store;

use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path};
use gx_serve::{Problem, ProblemKind};

/// No such person.
pub(crate) const NO_USER: ProblemKind = ProblemKind::new("no_user", 404, "There is no such user");

/// A profile's id in a path. Whatever cannot be one is nobody's.
pub(crate) struct ProfileId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for ProfileId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let plain = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        path.ok().map(|Path(id)| id).filter(plain).map(Self).ok_or_else(no_user)
    }
}

/// The answer to an id that is nobody's.
pub(crate) fn no_user() -> Problem {
    Problem::new(&NO_USER, "The list at /api/v1/admin/users has the ids.")
}
