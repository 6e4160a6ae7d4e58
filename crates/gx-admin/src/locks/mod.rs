//! Locks: an account that is locked lets nobody in from the next request on (G6).

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Administrator, Realm, audit};
use gx_serve::{Problem, ProblemKind};
use serde_json::json;

use crate::State;
use crate::users::no_user;

/// Nothing to change.
pub(crate) const ALREADY_SO: ProblemKind =
    ProblemKind::new("already_so", 409, "The account is in that state already");

/// Why an account is locked or unlocked.
pub(crate) struct Because<'a> {
    pub(crate) reason: &'a str,
    pub(crate) notes: Option<&'a str>,
}

/// Locks an account and ends its sessions, or unlocks it.
pub(crate) async fn set_lock(
    state: &State,
    who: &Administrator,
    profile_id: &str,
    lock: bool,
    because: &Because<'_>,
    request_id: &str,
) -> Result<(), Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let mut tx = base.begin().await?;
    let is_locked = store::is_locked(&mut tx, profile_id).await?.ok_or_else(no_user)?;
    if is_locked == lock {
        let state = if lock { "locked" } else { "not locked" };
        return Err(Problem::new(&ALREADY_SO, format!("The account is {state}.")));
    }
    if lock {
        store::lock(&mut tx, profile_id, &who.admin_id, because, now).await?;
        base.auth.sessions.end(&mut tx, Realm::User, profile_id, None, "account locked").await?;
    } else {
        store::unlock(&mut tx, profile_id, now).await?;
    }
    let entry = audit::Entry {
        actor: audit::Actor::Admin(&who.admin_id),
        action: if lock { "user.locked" } else { "user.unlocked" },
        target_type: "UserProfile",
        target_id: Some(profile_id),
        before: Some(json!({ "isLocked": is_locked })),
        after: Some(json!({ "isLocked": lock, "reason": because.reason, "notes": because.notes })),
        request_id: Some(request_id),
    };
    audit::append(&mut tx, entry, now).await?;
    Ok(tx.commit().await?)
}
