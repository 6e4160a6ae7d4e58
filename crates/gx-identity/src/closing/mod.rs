//! Closes the signed-in person's own account. Called by the route `POST /api/v1/users/me/close`.

pub(crate) mod http;
#[cfg(test)]
mod tests;

use gx_auth::{ClosingOutcome, FactorCode, GivenPassword, Person, close_account};
use gx_serve::Problem;

use crate::ServiceState;

/// Closes the account for ever, ends all of its sessions and what reviewers ask for, and writes the
/// audit row. Documents are kept for the time that operators set. A wrong password counts as a
/// failed sign-in. A problem means that the account is open as before.
pub(crate) async fn close(
    state: &ServiceState,
    person: &Person,
    password: &GivenPassword,
    code: Option<&FactorCode>,
) -> Result<(), Problem> {
    let (_ticket, mut tx) = state.factors.begin_confirmed(person, &password.0, code).await?;
    let id = person.profile_id.as_str();
    let entry = person.audit_entry("user.closed", "UserProfile", Some(id));
    match close_account(&state.base, &mut tx, &person.profile_id, entry).await? {
        ClosingOutcome::Closed => {
            gx_documents::requests::end(&mut tx, &person.profile_id).await?;
            tx.commit().await?;
            metrics::counter!("gx_accounts_closed_total", "by" => "person").increment(1);
            Ok(())
        }
        // Another request has closed it since this one was authorized.
        ClosingOutcome::ClosedBefore | ClosingOutcome::NoAccount => Ok(()),
    }
}
