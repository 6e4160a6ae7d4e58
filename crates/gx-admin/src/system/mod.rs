//! Pauses and resumes the ledger, and activates treasuries. Called by the routes `system/pause`,
//! `system/resume` and `treasury/{country}/activate`, and by confirmations of proposals.
//!
//! Each act enqueues one command. While it is not settled, the same request gets the same command,
//! and the opposite one is refused.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::{Administrator, audit, not_enqueued};
use gx_db::{Parsed, PgConnection};
use gx_model::{AccountId, Command, CommandId, CommandKind, CountryCode};
use gx_outbox::enqueue::NewCommand;
use gx_serve::{Problem, ProblemKind};
use serde_json::json;

use crate::ServiceState;
use crate::account_locks::ALREADY_SO;
use crate::acts::{ActTexts, PauseAction, SYSTEM};

/// An earlier pause or resume is not settled.
pub(crate) const PAUSE_IN_PROGRESS: ProblemKind =
    ProblemKind::new("pause_in_progress", 409, "A pause or resume is already in progress");
/// The ledger does not have the country.
pub(crate) const NO_TREASURY: ProblemKind =
    ProblemKind::new("no_treasury", 404, "There is no such treasury");

fn command(action: &PauseAction) -> Command {
    match action {
        PauseAction::Pause(reason) => Command::PauseSystem { reason_code: reason.clone() },
        PauseAction::Resume => Command::ResumeSystem {},
    }
}

fn audit_action(action: &PauseAction) -> &'static str {
    match action {
        PauseAction::Pause(_) => "system.pause_sent",
        PauseAction::Resume => "system.resume_sent",
    }
}

/// Enqueues a pause or resume in the caller's transaction, and returns the command id, or that of
/// the same command which is not settled. A problem means that nothing was enqueued.
pub(crate) async fn set_paused(
    state: &ServiceState,
    conn: &mut PgConnection,
    who: &Administrator,
    action: &PauseAction,
    texts: &ActTexts,
) -> Result<CommandId, Problem> {
    let command = command(action);
    let key = command.aggregate_key();
    store::lock_aggregate(conn, &key).await?;
    if let Some(pending) = store::unsettled(conn, &key).await? {
        return same_or_in_progress(&pending, command.kind());
    }
    let paused = gx_outbox::tip::pause_reason(conn, state.base.channel()).await?;
    match (action, &paused) {
        (PauseAction::Pause(_), Some(reason)) => {
            let detail = format!("The system is paused (reason {reason}).");
            return Err(Problem::new(&ALREADY_SO, detail));
        }
        (PauseAction::Resume, None) => {
            return Err(Problem::new(&ALREADY_SO, "The system is not paused."));
        }
        (PauseAction::Pause(_), None) | (PauseAction::Resume, Some(_)) => {}
    }
    let command_id = enqueue(state, conn, who, &key, &command).await?;
    let mut after = json!({ "commandId": command_id });
    if let PauseAction::Pause(reason) = action {
        after["reasonCode"] = reason.to_string().into();
    }
    let entry = audit::Entry {
        before: Some(json!({ "isPaused": paused.is_some() })),
        after: Some(after),
        ..who.audit_entry(audit_action(action), "System", Some(SYSTEM))
    };
    append(state, conn, entry, texts).await?;
    Ok(command_id)
}

/// Enqueues the activation of a country's treasury in the caller's transaction, and returns the
/// command id, or that of an activation which is not settled. A problem means that nothing was
/// enqueued.
pub(crate) async fn activate_treasury(
    state: &ServiceState,
    conn: &mut PgConnection,
    who: &Administrator,
    country: CountryCode,
    texts: &ActTexts,
) -> Result<CommandId, Problem> {
    let account = AccountId::Treasury(country).to_string();
    store::lock_aggregate(conn, &account).await?;
    let is_locked = store::is_treasury_locked(conn, &account).await?.ok_or_else(|| {
        Problem::new(&NO_TREASURY, "Take the code of a country that the ledger has.")
    })?;
    if !is_locked {
        return Err(Problem::new(&ALREADY_SO, "The treasury is active."));
    }
    let command = Command::ActivateTreasury { country_code: country };
    if let Some(pending) = store::unsettled(conn, &account).await? {
        return same_or_in_progress(&pending, command.kind());
    }
    state.base.require_running(conn).await?;
    let command_id = enqueue(state, conn, who, &account, &command).await?;
    let code = country.to_string();
    let entry = audit::Entry {
        before: Some(json!({ "isActive": false })),
        after: Some(json!({ "commandId": command_id })),
        ..who.audit_entry("treasury.activation_sent", "Treasury", Some(&code))
    };
    append(state, conn, entry, texts).await?;
    Ok(command_id)
}

/// Returns the id of the command that is not settled if it is of the requested kind (OUT-07).
fn same_or_in_progress(
    pending: &store::Unsettled,
    kind: CommandKind,
) -> Result<CommandId, Problem> {
    if pending.kind == kind.name() {
        let Parsed(id) = pending.command_id;
        return Ok(id);
    }
    let detail = format!("Wait until {} is settled.", pending.kind);
    Err(Problem::new(&PAUSE_IN_PROGRESS, detail))
}

/// Enqueues a command whose id is new: after a restore, a count of earlier ones would give an id
/// that the ledger has with another content.
async fn enqueue(
    state: &ServiceState,
    conn: &mut PgConnection,
    who: &Administrator,
    aggregate_key: &str,
    command: &Command,
) -> Result<CommandId, Problem> {
    let now = state.base.clock.now();
    let number = state.base.entropy.id(now).to_string();
    let command_id = CommandId::derive(&[aggregate_key, command.kind().name(), &number]);
    let new = NewCommand {
        command_id,
        command,
        profile_id: None,
        requested_by: who.admin_id.as_str(),
        request_id: Some(&who.request_id),
    };
    gx_outbox::enqueue::enqueue(conn, new, now).await.map_err(not_enqueued)?;
    Ok(command_id)
}

/// Appends an entry with what the administrator wrote.
async fn append(
    state: &ServiceState,
    conn: &mut PgConnection,
    entry: audit::Entry<'_>,
    texts: &ActTexts,
) -> Result<(), Problem> {
    let base = &state.base;
    let entry = entry.with_text("reason", texts.reason(), &base.entropy);
    let entry = entry.with_text("notes", texts.notes(), &base.entropy);
    Ok(audit::append(conn, entry, base.clock.now()).await?)
}
