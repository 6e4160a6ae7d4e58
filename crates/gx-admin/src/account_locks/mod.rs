//! Account locks: nobody can sign in to a locked account or use a token of it, from the next
//! request on (G6). Called by the routes `lock` and `unlock`.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Administrator, GivenEmail, Realm, Subject, audit, end_mail_tokens};
use gx_db::ProfileId;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;

use crate::ServiceState;
use crate::users::no_user;

/// The account or wallet already has the requested state.
pub(crate) const ALREADY_SO: ProblemKind =
    ProblemKind::new("already_so", 409, "The account already has this state");

/// The reason for a lock or unlock, for the account's row and the audit log.
pub(crate) struct LockReason<'a> {
    pub(crate) reason: &'a str,
    pub(crate) notes: Option<&'a str>,
}

/// Locks an account and ends its sessions and the codes and links of its mails, or unlocks it, and
/// writes the audit row. If the account already has this state, returns the problem `already_so`
/// and changes nothing. An unlock also forgets the failed sign-ins of its address (AUTHN-11).
pub(crate) async fn set_lock(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    lock: bool,
    reason: &LockReason<'_>,
) -> Result<(), Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    let account = store::lock_row(&mut tx, profile_id).await?.ok_or_else(no_user)?;
    let is_locked = account.is_locked;
    let email = GivenEmail::new(&account.email);
    let forgotten = !lock && base.forget_sign_in_failures(&mut tx, Realm::User, &email).await?;
    if is_locked == lock && !forgotten {
        let state = if lock { "locked" } else { "not locked" };
        return Err(Problem::new(&ALREADY_SO, format!("The account is {state}.")));
    }
    if lock {
        store::lock_account(&mut tx, profile_id, &who.admin_id, reason, now).await?;
        let subject = Subject::User(profile_id.clone());
        base.auth.sessions.end(&mut tx, &subject, None, "account locked").await?;
        end_mail_tokens(&mut tx, &subject).await?;
    } else if is_locked {
        store::unlock_account(&mut tx, profile_id, now).await?;
    }
    let action = if lock { "user.locked" } else { "user.unlocked" };
    let mut after = json!({ "isLocked": lock });
    if forgotten {
        after["failuresForgotten"] = forgotten.into();
    }
    let entry = audit::Entry {
        before: Some(json!({ "isLocked": is_locked })),
        after: Some(after),
        ..who.audit_entry(action, "UserProfile", Some(profile_id.as_str()))
    };
    let entry = entry.with_text("reason", Some(reason.reason), &base.entropy);
    let entry = entry.with_text("notes", reason.notes, &base.entropy);
    audit::append(&mut tx, entry, now).await?;
    Ok(tx.commit().await?)
}
