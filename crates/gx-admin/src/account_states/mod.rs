//! Suspends, reinstates and closes accounts, and puts them on legal hold. Called by the routes
//! `suspend`, `reinstate`, `close` and `legal-hold`.
//!
//! A suspended or closed account is refused at its next request, because every request reads the
//! status. A reinstated account becomes FROZEN if the ledger has frozen the person meanwhile.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Administrator, ClosingOutcome, Subject, audit, close_account};
use gx_db::{PgConnection, ProfileId};
use gx_model::AccountStatus;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;

use crate::ServiceState;
use crate::account_locks::{ALREADY_SO, LockReason};
use crate::users::no_user;

/// The status of the account does not allow the change.
pub(crate) const WRONG_STATUS: ProblemKind =
    ProblemKind::new("wrong_status", 409, "The status of the account does not allow this");

/// Suspends an ACTIVE or FROZEN account and ends its sessions. Returns the new status.
pub(crate) async fn suspend(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    reason: &LockReason<'_>,
) -> Result<AccountStatus, Problem> {
    let base = &state.base;
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let account = store::lock_account(&mut tx, profile_id).await?.ok_or_else(no_user)?;
    let next = AccountStatus::Suspended;
    require_change(account.status, next)?;
    store::set_status(&mut tx, profile_id, next, base.clock.now()).await?;
    let subject = Subject::User(profile_id.clone());
    let sessions = &base.auth.sessions;
    let ended = sessions.end(&mut tx, &subject, None, "account suspended").await?;
    let entry = audit::Entry {
        before: Some(json!({ "status": account.status })),
        after: Some(json!({ "status": next, "ended": ended })),
        ..who.audit_entry("user.suspended", "UserProfile", Some(profile_id.as_str()))
    };
    append(state, &mut tx, entry, reason).await?;
    tx.commit().await?;
    Ok(next)
}

/// Ends a suspension. Returns the new status: FROZEN if the wallet is frozen on the ledger, and
/// ACTIVE otherwise. The person must sign in again.
pub(crate) async fn reinstate(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    reason: &LockReason<'_>,
) -> Result<AccountStatus, Problem> {
    let base = &state.base;
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let account = store::lock_account(&mut tx, profile_id).await?.ok_or_else(no_user)?;
    match account.status {
        AccountStatus::Suspended => {}
        AccountStatus::Active | AccountStatus::Frozen => {
            return Err(Problem::new(&ALREADY_SO, "The account is not suspended."));
        }
        other => return Err(wrong_status(other)),
    }
    // Read after the account's row is locked: a block that freezes the person now either is seen
    // here, or waits for this transaction and freezes the account then.
    let next = match store::is_frozen(&mut tx, profile_id).await? {
        true => AccountStatus::Frozen,
        false => AccountStatus::Active,
    };
    store::set_status(&mut tx, profile_id, next, base.clock.now()).await?;
    let entry = audit::Entry {
        before: Some(json!({ "status": account.status })),
        after: Some(json!({ "status": next })),
        ..who.audit_entry("user.reinstated", "UserProfile", Some(profile_id.as_str()))
    };
    append(state, &mut tx, entry, reason).await?;
    tx.commit().await?;
    Ok(next)
}

/// Closes an account for ever and ends its sessions. An account with money or unsettled commands
/// stays open.
pub(crate) async fn close(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    reason: &LockReason<'_>,
) -> Result<AccountStatus, Problem> {
    let base = &state.base;
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let entry = who.audit_entry("user.closed", "UserProfile", Some(profile_id.as_str()));
    let entry = entry.with_text("reason", Some(reason.reason), &base.entropy);
    let entry = entry.with_text("notes", reason.notes, &base.entropy);
    match close_account(base, &mut tx, profile_id, entry).await? {
        ClosingOutcome::Closed => {
            tx.commit().await?;
            metrics::counter!("gx_accounts_closed_total", "by" => "administrator").increment(1);
            Ok(AccountStatus::Closed)
        }
        ClosingOutcome::NoAccount => Err(no_user()),
        ClosingOutcome::ClosedBefore => Err(already(AccountStatus::Closed)),
    }
}

/// Puts an account on legal hold, or ends the hold. While it lasts, nothing of the account is
/// removed, whatever its retention says. Returns the status, which does not change.
pub(crate) async fn set_legal_hold(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    hold: bool,
    reason: &LockReason<'_>,
) -> Result<AccountStatus, Problem> {
    let base = &state.base;
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let account = store::lock_account(&mut tx, profile_id).await?.ok_or_else(no_user)?;
    if account.is_on_hold == hold {
        let state = if hold { "on legal hold" } else { "not on legal hold" };
        return Err(Problem::new(&ALREADY_SO, format!("The account is {state}.")));
    }
    let by = hold.then_some(&who.admin_id);
    store::set_legal_hold(&mut tx, profile_id, by, base.clock.now()).await?;
    let action = if hold { "user.legal_hold_set" } else { "user.legal_hold_ended" };
    let entry = audit::Entry {
        before: Some(json!({ "isOnLegalHold": account.is_on_hold })),
        after: Some(json!({ "isOnLegalHold": hold })),
        ..who.audit_entry(action, "UserProfile", Some(profile_id.as_str()))
    };
    append(state, &mut tx, entry, reason).await?;
    tx.commit().await?;
    Ok(account.status)
}

/// Returns the problem if an account cannot change from one status to another.
fn require_change(from: AccountStatus, to: AccountStatus) -> Result<(), Problem> {
    if from == to {
        return Err(already(from));
    }
    if from.may_become(to) { Ok(()) } else { Err(wrong_status(from)) }
}

fn already(status: AccountStatus) -> Problem {
    Problem::new(&ALREADY_SO, format!("The account is {status}."))
}

fn wrong_status(status: AccountStatus) -> Problem {
    Problem::new(&WRONG_STATUS, format!("The account is {status}."))
}

/// Appends an entry with what the administrator wrote.
async fn append(
    state: &ServiceState,
    conn: &mut PgConnection,
    entry: audit::Entry<'_>,
    reason: &LockReason<'_>,
) -> Result<(), Problem> {
    let base = &state.base;
    let entry = entry.with_text("reason", Some(reason.reason), &base.entropy);
    let entry = entry.with_text("notes", reason.notes, &base.entropy);
    Ok(audit::append(conn, entry, base.clock.now()).await?)
}
