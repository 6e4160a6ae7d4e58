//! Freezes: a person can sign in and look, but not pay. Called by the routes `freeze` and
//! `unfreeze`.
//!
//! A freeze that is not settled already stops spending (OUT-13). It is read from the outbox alone,
//! so a freeze that the ledger refuses ends without any further write.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Administrator, audit, not_enqueued};
use gx_db::{Parsed, PgConnection, ProfileId};
use gx_model::{Command, CommandId, CommandKind, FabricUserId, ReasonCode};
use gx_outbox::enqueue::NewCommand;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;

use crate::ServiceState;
use crate::account_locks::ALREADY_SO;
use crate::acts::FreezeAction;
use crate::users::no_user;

/// The person has no ledger account to freeze.
pub(crate) const NOT_ON_LEDGER: ProblemKind =
    ProblemKind::new("not_on_ledger", 409, "The person is not on the ledger");
/// An earlier freeze or unfreeze is not settled.
pub(crate) const FREEZE_IN_PROGRESS: ProblemKind =
    ProblemKind::new("freeze_in_progress", 409, "A freeze or unfreeze is already in progress");

/// Returns the kind of the command.
fn kind_of(action: FreezeAction) -> CommandKind {
    match action {
        FreezeAction::Freeze => CommandKind::FreezeWallet,
        FreezeAction::Unfreeze => CommandKind::UnfreezeWallet,
    }
}

fn command(action: FreezeAction, user_id: FabricUserId, reason: &FreezeReason<'_>) -> Command {
    match action {
        FreezeAction::Freeze => Command::FreezeWallet { user_id, reason_code: reason.code.clone() },
        FreezeAction::Unfreeze => Command::UnfreezeWallet { user_id },
    }
}

fn audit_action(action: FreezeAction) -> &'static str {
    match action {
        FreezeAction::Freeze => "user.freeze_sent",
        FreezeAction::Unfreeze => "user.unfreeze_sent",
    }
}

/// The reason of a freeze or unfreeze: the code for the ledger, and notes for administrators.
pub(crate) struct FreezeReason<'a> {
    pub(crate) code: &'a ReasonCode,
    pub(crate) notes: Option<&'a str>,
}

/// Enqueues a freeze or unfreeze in the caller's transaction, and returns its command id. If the
/// same action is not settled yet, returns the id of the earlier command. A problem means that
/// nothing was enqueued.
pub(crate) async fn send(
    state: &ServiceState,
    conn: &mut PgConnection,
    who: &Administrator,
    profile_id: &ProfileId,
    action: FreezeAction,
    reason: &FreezeReason<'_>,
) -> Result<CommandId, Problem> {
    let base = &state.base;
    let now = base.clock.now();
    store::lock_account_row(conn, profile_id).await?.ok_or_else(no_user)?;
    let current = store::freeze_state(conn, profile_id).await?.ok_or_else(|| {
        Problem::new(&NOT_ON_LEDGER, "Lock the account instead; a lock does not need the ledger.")
    })?;
    let kind = kind_of(action);
    if let (Some(pending), Some(Parsed(id))) = (&current.pending_kind, current.pending_id) {
        // A repeated request must not make a second command (OUT-07).
        if pending == kind.name() {
            return Ok(id);
        }
        return Err(Problem::new(&FREEZE_IN_PROGRESS, format!("Wait until {pending} is settled.")));
    }
    if current.is_frozen == (action == FreezeAction::Freeze) {
        let state = if current.is_frozen { "frozen" } else { "not frozen" };
        return Err(Problem::new(&ALREADY_SO, format!("The wallet is {state}.")));
    }
    let user_id: FabricUserId =
        current.fabric_user_id.parse().map_err(|why| Problem::internal(&why))?;
    let command = command(action, user_id, reason);
    base.require_running(conn).await?;
    // A new random part and not a count of earlier freezes: after a restore the count would be
    // lower, and give an id that the ledger has with another content.
    let number = base.entropy.id(now).to_string();
    let command_id = CommandId::derive(&[profile_id.as_str(), kind.name(), &number]);
    let new = NewCommand {
        command_id,
        command: &command,
        profile_id: Some(profile_id),
        requested_by: who.admin_id.as_str(),
        request_id: Some(&who.request_id),
    };
    gx_outbox::enqueue::enqueue(conn, new, now).await.map_err(not_enqueued)?;
    let entry = audit::Entry {
        before: Some(json!({ "isFrozen": current.is_frozen })),
        after: Some(json!({ "commandId": command_id, "reason": reason.code.to_string() })),
        ..who.audit_entry(audit_action(action), "UserProfile", Some(profile_id.as_str()))
    };
    let entry = entry.with_text("notes", reason.notes, &base.entropy);
    audit::append(conn, entry, now).await?;
    Ok(command_id)
}
