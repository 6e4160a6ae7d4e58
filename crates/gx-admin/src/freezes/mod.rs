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
use gx_db::{Parsed, ProfileId};
use gx_model::{Command, CommandId, CommandKind, FabricUserId};
use gx_outbox::enqueue::NewCommand;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;

use crate::ServiceState;
use crate::account_locks::ALREADY_SO;
use crate::users::no_user;
use http::FreezeRequest;

/// The person has no ledger account to freeze.
pub(crate) const NOT_ON_LEDGER: ProblemKind =
    ProblemKind::new("not_on_ledger", 409, "The person is not on the ledger");
/// An earlier freeze or unfreeze is not settled.
pub(crate) const FREEZE_IN_PROGRESS: ProblemKind =
    ProblemKind::new("freeze_in_progress", 409, "A freeze or unfreeze is already in progress");

/// The change that an administrator requests for a wallet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FreezeAction {
    Freeze,
    Unfreeze,
}

impl FreezeAction {
    fn kind(self) -> CommandKind {
        match self {
            Self::Freeze => CommandKind::FreezeWallet,
            Self::Unfreeze => CommandKind::UnfreezeWallet,
        }
    }

    fn command(self, user_id: FabricUserId, request: &FreezeRequest) -> Command {
        match self {
            Self::Freeze => Command::FreezeWallet { user_id, reason_code: request.reason_code() },
            Self::Unfreeze => Command::UnfreezeWallet { user_id },
        }
    }

    fn audit_action(self) -> &'static str {
        match self {
            Self::Freeze => "user.freeze_sent",
            Self::Unfreeze => "user.unfreeze_sent",
        }
    }

    /// Returns whether the wallet already has the requested state.
    fn is_done(self, is_frozen: bool) -> bool {
        is_frozen == (self == Self::Freeze)
    }
}

/// Enqueues a freeze or unfreeze, and returns its command id. If the same action is not settled
/// yet, returns the id of the earlier command. A problem means that nothing was enqueued.
pub(crate) async fn send(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    action: FreezeAction,
    request: &FreezeRequest,
) -> Result<CommandId, Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    store::lock_account_row(&mut tx, profile_id).await?.ok_or_else(no_user)?;
    let current = store::freeze_state(&mut tx, profile_id).await?.ok_or_else(|| {
        Problem::new(&NOT_ON_LEDGER, "Lock the account instead; a lock does not need the ledger.")
    })?;
    let kind = action.kind();
    if let (Some(pending), Some(Parsed(id))) = (&current.pending_kind, current.pending_id) {
        // A repeated request must not make a second command (OUT-07).
        if pending == kind.name() {
            return Ok(id);
        }
        return Err(Problem::new(&FREEZE_IN_PROGRESS, format!("Wait until {pending} is settled.")));
    }
    if action.is_done(current.is_frozen) {
        let state = if current.is_frozen { "frozen" } else { "not frozen" };
        return Err(Problem::new(&ALREADY_SO, format!("The wallet is {state}.")));
    }
    let user_id: FabricUserId =
        current.fabric_user_id.parse().map_err(|why| Problem::internal(&why))?;
    let command = action.command(user_id, request);
    base.require_running(&mut tx).await?;
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
    gx_outbox::enqueue::enqueue(&mut tx, new, now).await.map_err(not_enqueued)?;
    let entry = audit::Entry {
        before: Some(json!({ "isFrozen": current.is_frozen })),
        after: Some(json!({ "commandId": command_id, "reason": request.reason() })),
        ..who.audit_entry(action.audit_action(), "UserProfile", Some(profile_id.as_str()))
    };
    let entry = entry.with_text("notes", request.notes(), &base.entropy);
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    state.waker.wake();
    Ok(command_id)
}
