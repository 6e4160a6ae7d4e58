//! Problems of an address or a number that another account has. Called by registrations and changes
//! of a profile when the database refuses their row.

use gx_auth::EMAIL_TAKEN;
use gx_serve::{Problem, ProblemKind, problem::InvalidField};

/// Another account has this phone number.
pub(crate) const PHONE_TAKEN: ProblemKind =
    ProblemKind::new("phone_taken", 409, "Another account has this phone number");

/// Returns the problem for a violated unique constraint of e-mail address or phone number. Any
/// other error is an internal problem.
pub(crate) fn taken_problem(error: sqlx::Error) -> Problem {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    let (kind, pointer) = match constraint {
        // Two spellings of an address can be one mailbox, which has one account.
        Some("UserProfile_email_key" | "UserProfile_mailbox_key") => (&EMAIL_TAKEN, "/email"),
        // The database's locale changes a letter to lower case that Unicode leaves unchanged.
        Some("UserProfile_email_form") => {
            return Problem::invalid(vec![InvalidField {
                pointer: "/email".to_owned(),
                code: "format",
                message: "has a letter that cannot be stored in lower case".to_owned(),
            }]);
        }
        Some("UserProfile_phoneNum_key") => (&PHONE_TAKEN, "/phoneNum"),
        _ => return error.into(),
    };
    Problem::new(kind, "Sign in, or give another one.").with_errors(vec![InvalidField {
        pointer: pointer.to_owned(),
        code: "taken",
        message: "belongs to an account already".to_owned(),
    }])
}
