//! What the routes of sessions, passwords and second factors share. Called where each service adds
//! its routes.

use gx_serve::{Problem, ProblemKind};
use utoipa_axum::router::UtoipaMethodRouter;

/// The address, the password or the account is refused; the answer does not tell which.
pub const INVALID_CREDENTIALS: ProblemKind =
    ProblemKind::new("invalid_credentials", 401, "E-mail address and password are not accepted");

/// Returns the one answer to a wrong password, a wrong code, an unknown address and a refused
/// account.
pub fn invalid_credentials() -> Problem {
    Problem::new(&INVALID_CREDENTIALS, "Check what you sent and try again.")
}

/// Returns the handlers of one path at another path, with their own state.
pub(crate) fn at<S, T>(
    (schemas, mut paths, router): UtoipaMethodRouter<T>,
    path: &str,
    state: T,
) -> UtoipaMethodRouter<S>
where
    T: Clone + Send + Sync + 'static,
{
    let (_, item) = paths.paths.pop_first().expect("handlers that are moved have one path");
    paths.paths.insert(path.to_owned(), item);
    (schemas, paths, router.with_state(state))
}
