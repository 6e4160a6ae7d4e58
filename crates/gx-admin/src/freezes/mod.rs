//! Freezes: a person may look and not pay. The ledger decides; a freeze that is on its way
//! stops spending already (OUT-13), and one that the ledger refuses is undone by itself,
//! because what is on its way is read from the outbox and written nowhere else.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Administrator, audit};
use gx_model::{Command, CommandId, CommandKind, FabricUserId};
use gx_outbox::{EnqueueError, NewCommand};
use gx_serve::{Problem, ProblemKind};
use serde_json::json;

use crate::State;
use crate::locks::ALREADY_SO;
use crate::users::no_user;
use http::FreezeRequest;

/// Without an account on the ledger there is nothing to freeze.
pub(crate) const NOT_ON_LEDGER: ProblemKind =
    ProblemKind::new("not_on_ledger", 409, "The person is not on the ledger");
/// The ledger has not answered the last one.
pub(crate) const FREEZE_IN_PROGRESS: ProblemKind =
    ProblemKind::new("freeze_in_progress", 409, "A freeze or its end is on its way");

/// What is wished of a wallet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Freeze,
    Unfreeze,
}

impl Wish {
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

    fn action(self) -> &'static str {
        match self {
            Self::Freeze => "user.freeze_sent",
            Self::Unfreeze => "user.unfreeze_sent",
        }
    }

    /// Whether a wallet is as it is wished to be.
    fn is_true_of(self, is_frozen: bool) -> bool {
        is_frozen == (self == Self::Freeze)
    }
}

/// Sends a freeze, or the end of one, to the ledger. While one is on its way, wishing the same
/// again gives its id.
pub(crate) async fn send(
    state: &State,
    who: &Administrator,
    profile_id: &str,
    wish: Wish,
    request: &FreezeRequest,
    request_id: &str,
) -> Result<CommandId, Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let mut tx = base.begin().await?;
    store::lock(&mut tx, profile_id).await?.ok_or_else(no_user)?;
    let standing = store::standing(&mut tx, profile_id).await?.ok_or_else(|| {
        Problem::new(&NOT_ON_LEDGER, "It can be locked instead, which needs no ledger.")
    })?;
    let kind = wish.kind();
    if let (Some(pending), Some(id)) = (&standing.pending_kind, &standing.pending_id) {
        // Asked for again, it is the same command (OUT-07).
        if pending == kind.name() {
            return id.parse().map_err(|why| Problem::internal(&why));
        }
        return Err(Problem::new(&FREEZE_IN_PROGRESS, format!("{pending} is on its way.")));
    }
    if wish.is_true_of(standing.is_frozen) {
        let state = if standing.is_frozen { "frozen" } else { "not frozen" };
        return Err(Problem::new(&ALREADY_SO, format!("The wallet is {state}.")));
    }
    let user_id: FabricUserId =
        standing.fabric_user_id.parse().map_err(|why| Problem::internal(&why))?;
    let command = wish.command(user_id, request);
    base.require_running(&mut tx).await?;
    // A number of its own and not a count of earlier freezes: after a restore an older count
    // would give an id that the ledger knows with another content.
    let number = base.entropy.id(now).to_string();
    let command_id = CommandId::derive(&[profile_id, kind.name(), &number]);
    let new = NewCommand {
        command_id,
        command: &command,
        profile_id: Some(profile_id),
        requested_by: &who.admin_id,
        request_id: Some(request_id),
    };
    gx_outbox::enqueue(&mut tx, new, now).await.map_err(not_enqueued)?;
    let entry = audit::Entry {
        actor: audit::Actor::Admin(&who.admin_id),
        action: wish.action(),
        target_type: "UserProfile",
        target_id: Some(profile_id),
        before: Some(json!({ "isFrozen": standing.is_frozen })),
        after: Some(json!({
            "commandId": command_id, "reason": request.reason(), "notes": request.notes(),
        })),
        request_id: Some(request_id),
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    state.waker.wake();
    Ok(command_id)
}

fn not_enqueued(error: EnqueueError) -> Problem {
    match error {
        EnqueueError::Database(error) => error.into(),
        mismatch @ EnqueueError::Mismatch(_) => Problem::internal(&mismatch),
    }
}
