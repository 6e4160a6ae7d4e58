//! Closes an account for ever. Called by svc-identity for the person, and by svc-admin for an
//! administrator.
//!
//! An account that has money, or a command that may still bring or take some, stays open. A payment
//! to the account holds a shared advisory lock from its check of the receiver to its commit, so
//! that the closing sees the payment's command, or the payment sees the closed account.

mod store;

use gx_db::{PgConnection, ProfileId};
use gx_model::AccountStatus;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;

use crate::audit;
use crate::foundation::Foundation;
use crate::realm::Subject;

/// The account has a balance, or a command that is not settled.
pub const ACCOUNT_HAS_FUNDS: ProblemKind =
    ProblemKind::new("account_has_funds", 409, "The account has money or unsettled commands");

/// Result of [`close_account`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosingOutcome {
    /// The account is closed now, and its sessions have ended.
    Closed,
    /// There is no such account.
    NoAccount,
    /// The account was closed before.
    ClosedBefore,
}

/// Closes an account in the caller's transaction: sets the status, ends all sessions, the claim of
/// a reviewer and the requests for documents, and appends `entry` with the statuses added to it.
/// The caller has the row ticket.
///
/// # Errors
/// [`ACCOUNT_HAS_FUNDS`], or the problem of a database failure. Nothing is written then.
pub async fn close_account(
    base: &Foundation,
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    mut entry: audit::Entry<'_>,
) -> Result<ClosingOutcome, Problem> {
    let now = base.clock.now();
    let Some(status) = store::lock_account(conn, profile_id).await? else {
        return Ok(ClosingOutcome::NoAccount);
    };
    if status == AccountStatus::Closed {
        return Ok(ClosingOutcome::ClosedBefore);
    }
    store::lock_receiver(conn, profile_id).await?;
    let holdings = store::holdings(conn, profile_id).await?;
    if holdings.balance > 0 {
        return Err(Problem::new(&ACCOUNT_HAS_FUNDS, "Pay the whole balance out first."));
    }
    if holdings.has_unsettled {
        let detail = "Wait until every payment and other command of the account is settled.";
        return Err(Problem::new(&ACCOUNT_HAS_FUNDS, detail));
    }
    store::close(conn, profile_id, now).await?;
    store::end_review(conn, profile_id).await?;
    let subject = Subject::User(profile_id.clone());
    let ended = base.auth.sessions.end(conn, &subject, None, "account closed").await?;
    entry.before = Some(json!({ "status": status.name() }));
    let after = entry.after.get_or_insert_with(|| json!({}));
    after["status"] = AccountStatus::Closed.name().into();
    after["ended"] = ended.into();
    audit::append(conn, entry, now).await?;
    Ok(ClosingOutcome::Closed)
}
