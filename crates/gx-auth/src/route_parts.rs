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

/// Returns whether a problem is that of refused credentials. Others, such as that of a database
/// failure or of a code that is missing, are no refused sign-ins.
pub fn is_refusal(problem: &Problem) -> bool {
    *problem.kind() == INVALID_CREDENTIALS
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passkeys::{CHALLENGE_ENDED, PASSKEYS_NOT_CONFIGURED};
    use crate::second_factor::{SECOND_FACTOR_DELAYED, SECOND_FACTOR_REQUIRED};

    /// AUTHN-09: only refused credentials count as a refused sign-in: a rise of the metric is an
    /// attack, not an outage.
    #[test]
    fn authn_09_only_refused_credentials_count_as_refused() {
        assert!(is_refusal(&invalid_credentials()));
        let others = [
            Problem::unavailable("The database is away.", 2),
            Problem::new(&CHALLENGE_ENDED, "Try again."),
            Problem::new(&PASSKEYS_NOT_CONFIGURED, "Try again."),
            Problem::new(&SECOND_FACTOR_REQUIRED, "Try again."),
            Problem::new(&SECOND_FACTOR_DELAYED, "Try again."),
        ];
        for other in &others {
            assert!(!is_refusal(other), "{}", other.kind().code);
        }
    }
}
