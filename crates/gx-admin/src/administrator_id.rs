//! Ids of administrators in paths, bodies and queries. Read by the routes that name an
//! administrator.

use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path};
use gx_db::AdminId;
use gx_serve::fields::{Field, FieldError, text};
use gx_serve::{Problem, ProblemKind};
use serde_json::Value;

/// Longest adminId, in bytes.
const MAX_ID_BYTES: usize = 64;

/// The administrator does not exist.
pub(crate) const NO_ADMINISTRATOR: ProblemKind =
    ProblemKind::new("no_administrator", 404, "There is no such administrator");

/// An administrator's id in a path. A text that is not an id is answered like an unknown id.
pub(crate) struct AdminPath(pub(crate) AdminId);

impl<S: Send + Sync> FromRequestParts<S> for AdminPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let plain = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let id = path.ok().map(|Path(id)| id).filter(plain).ok_or_else(no_administrator)?;
        Ok(Self(id.into()))
    }
}

/// The id of an administrator in a body or query.
pub(crate) struct GivenAdminId(pub(crate) AdminId);

impl Field for GivenAdminId {
    fn read(value: &Value) -> Result<Self, FieldError> {
        match text(value)? {
            id if id.len() <= MAX_ID_BYTES && !id.contains('\0') => Ok(Self(id.to_owned().into())),
            _ => Err(FieldError::new("format", "must be an adminId")),
        }
    }
}

/// Returns the problem for an unknown id.
pub(crate) fn no_administrator() -> Problem {
    Problem::new(&NO_ADMINISTRATOR, "Take an id from the list at /api/v1/admin/administrators.")
}
