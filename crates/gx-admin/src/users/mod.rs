//! People, as administrators see them.

pub(crate) mod http;
mod store;

use gx_serve::{Problem, ProblemKind};

/// No such person.
pub(crate) const NO_USER: ProblemKind = ProblemKind::new("no_user", 404, "There is no such user");

/// The answer to an id that is nobody's.
pub(crate) fn no_user() -> Problem {
    Problem::new(&NO_USER, "The list at /api/v1/admin/users has the ids.")
}
