//! Batches, direct calls and cancellations, as [`crate::invoke`] receives them. Each command id
//! takes effect at most once. An error ends the whole call and no transaction exists; a command
//! that is only refused or deferred becomes an entry with that outcome.

use gx_model::{
    BatchCommand, BatchEntry, BatchEvent, Command, CommandCall, CommandId, CommandKind,
    DomainEvent, EntryOutcome, EventRecord, InvalidCommand, Prerequisite, SignerRole,
};
use sha2::{Digest, Sha256};
use time::UtcOffset;

use crate::call_error::{CallError, CallResult, Damaged, Stop};
use crate::overlay::{Overlay, json};
use crate::records::{CommandRecord, System};
use crate::rules::{self, Moment};
use crate::{Invocation, Response, State, keys};

/// Executes all commands of a batch in order, in one transaction (`BatchContract:Execute`).
pub(crate) fn execute(state: &mut dyn State, call: &Invocation<'_>) -> CallResult {
    let [batch] = call.args else {
        return Err(CallError::invalid(format!("{} takes 1 argument", call.function)));
    };
    if batch.len() > BatchCommand::MAX_BYTES {
        let limit = BatchCommand::MAX_BYTES;
        return Err(CallError::invalid(format!("a batch has at most {limit} bytes")));
    }
    let commands: Vec<BatchCommand> = serde_json::from_str(batch)
        .map_err(|why| CallError::invalid(format!("the batch is malformed: {why}")))?;
    check_count(commands.len(), "commands")?;
    let (entries, overlay) = run(state, call, &commands)?;
    Ok(finish(call, entries, overlay, vec![]))
}

/// Executes one mutating function as a batch of one. If the command is refused or deferred, the
/// call fails and there is no transaction.
pub(crate) fn direct(state: &mut dyn State, call: &Invocation<'_>) -> CallResult {
    let command = own_command(call)?;
    let (entries, overlay) = run(state, call, &[command])?;
    let [entry] = &entries[..] else {
        return Err(CallError::Damaged("a batch of one command has one entry".to_owned()));
    };
    let payload = json(entry);
    match &entry.outcome {
        EntryOutcome::Refused { rejection } => Err(CallError::rejected(rejection.clone())),
        EntryOutcome::Deferred { prerequisite } => Err(CallError::not_yet(prerequisite)),
        EntryOutcome::Mismatch { tx_id } => Err(id_reused(tx_id)),
        EntryOutcome::Applied {} | EntryOutcome::Replay { .. } | EntryOutcome::Cancelled {} => {
            Ok(finish(call, entries, overlay, payload))
        }
    }
}

/// Cancels the ids that have not taken effect (`BatchContract:Cancel`); they never will. It works
/// while the system is paused, so that a command which waits for the resume can be cancelled.
pub(crate) fn cancel(state: &mut dyn State, call: &Invocation<'_>) -> CallResult {
    once(state, call, |state, overlay, own_id, argument| {
        let ids: Vec<CommandId> = serde_json::from_str(argument)
            .map_err(|why| CallError::invalid(format!("the command ids are malformed: {why}")))?;
        check_count(ids.len(), "ids")?;
        if ids.contains(&own_id) {
            return Err(CallError::invalid("a cancellation cannot cancel itself"));
        }
        overlay.read_ahead(state, ids.iter().map(|id| keys::command(*id)))?;
        let (mut entries, mut fenced) = (vec![], vec![]);
        for id in ids {
            let outcome = match overlay.get::<CommandRecord>(&keys::command(id))? {
                Some(record) => record.replayed(),
                None => {
                    let outcome = EntryOutcome::Cancelled {};
                    overlay.record(id, None, outcome.clone(), call.tx_id);
                    fenced.push(id);
                    outcome
                }
            };
            entries.push(BatchEntry { command_id: id, outcome, events: vec![] });
        }
        let cancelled = DomainEvent::CommandsCancelled { command_ids: fenced };
        Ok((entries, vec![EventRecord::from(&cancelled)]))
    })
}

/// Carries out a function of the role admin that cannot be part of a batch, once for its command
/// id: [`cancel`], or the folding of fees. `work` gets the function's argument and returns further
/// entries and the function's own events. If the id was used before with the same content, `work`
/// is not called and the entry is a replay.
pub(crate) fn once<Work>(state: &mut dyn State, call: &Invocation<'_>, work: Work) -> CallResult
where
    Work: FnOnce(
        &mut dyn State,
        &mut Overlay,
        CommandId,
        &str,
    ) -> Result<(Vec<BatchEntry>, Vec<EventRecord>), CallError>,
{
    call.caller.require(SignerRole::Admin)?;
    let command = own_command(call)?;
    let [argument] = &command.args[..] else {
        return Err(CallError::invalid(format!("{} takes 1 argument", call.function)));
    };
    let (command_id, content) = (command.command_id, content(&command));
    let mut overlay = Overlay::default();
    overlay.read_ahead(state, [keys::SYSTEM.to_owned(), keys::command(command_id)])?;
    let known: Option<CommandRecord> = overlay.get(&keys::command(command_id))?;
    let (mut entries, outcome, events) = match known {
        Some(record) => match record.again(&content) {
            EntryOutcome::Mismatch { tx_id } => return Err(id_reused(&tx_id)),
            outcome => (vec![], outcome, vec![]),
        },
        None => {
            let (entries, events) = work(state, &mut overlay, command_id, argument)?;
            overlay.record(command_id, Some(content), EntryOutcome::Applied {}, call.tx_id);
            (entries, EntryOutcome::Applied {}, events)
        }
    };
    let entry = BatchEntry { command_id, outcome, events };
    let payload = json(&entry);
    entries.push(entry);
    Ok(finish(call, entries, overlay, payload))
}

/// Refuses the call if the system is paused.
pub(crate) fn require_running(overlay: &Overlay) -> Result<(), CallError> {
    let system: System = overlay.get(keys::SYSTEM)?.unwrap_or_default();
    match system.paused {
        Some(_) => Err(CallError::not_yet(&Prerequisite::SystemResumed {})),
        None => Ok(()),
    }
}

/// Executes commands in order and returns their entries with what is to be written. Everything that
/// the commands can need is read before the first one is executed.
fn run(
    state: &mut dyn State,
    call: &Invocation<'_>,
    commands: &[BatchCommand],
) -> Result<(Vec<BatchEntry>, Overlay), CallError> {
    let kinds = commands.iter().filter_map(|one| CommandKind::from_function(&one.function));
    let needed = kinds.map(CommandKind::role).max();
    // A malformed command records its id, too, so it needs a role as well.
    call.caller.require(needed.unwrap_or(SignerRole::PartnerApi))?;
    let mut overlay = Overlay::default();
    let ids = commands.iter().map(|command| keys::command(command.command_id));
    overlay.read_ahead(state, ids.chain([keys::SYSTEM.to_owned()]))?;
    let mut parsed = Vec::with_capacity(commands.len());
    let mut needed = vec![];
    for one in commands {
        let command = parse(one);
        let known: Option<CommandRecord> = overlay.get(&keys::command(one.command_id))?;
        if let (Ok(command), None) = (&command, known) {
            needed.extend(rules::keys(command));
        }
        parsed.push(command);
    }
    overlay.read_ahead(state, needed)?;
    let moment =
        Moment { tx_id: call.tx_id, today: call.timestamp.to_offset(UtcOffset::UTC).date() };
    let mut entries = Vec::with_capacity(commands.len());
    for (one, command) in commands.iter().zip(&parsed) {
        entries.push(run_one(&mut overlay, &moment, one, command)?);
    }
    Ok((entries, overlay))
}

/// Executes one command, unless its id was used before, and records its outcome under the id. A
/// deferred command is not recorded, so that it can be sent again.
fn run_one(
    overlay: &mut Overlay,
    moment: &Moment<'_>,
    one: &BatchCommand,
    command: &Result<Command, InvalidCommand>,
) -> Result<BatchEntry, Damaged> {
    let (command_id, content) = (one.command_id, content(one));
    let entry = |outcome, events: &[DomainEvent]| BatchEntry {
        command_id,
        outcome,
        events: events.iter().map(EventRecord::from).collect(),
    };
    let known: Option<CommandRecord> = overlay.get(&keys::command(command_id))?;
    if let Some(record) = known {
        return Ok(entry(record.again(&content), &[]));
    }
    let (outcome, events) = match rules::apply(overlay, moment, command) {
        Ok(effect) => (EntryOutcome::Applied {}, overlay.apply(effect)),
        Err(Stop::Refused(rejection)) => (EntryOutcome::Refused { rejection }, vec![]),
        Err(Stop::Deferred(prerequisite)) => {
            return Ok(entry(EntryOutcome::Deferred { prerequisite }, &[]));
        }
        Err(Stop::Damaged(why)) => return Err(why),
    };
    overlay.record(command_id, Some(content), outcome.clone(), moment.tx_id);
    Ok(entry(outcome, &events))
}

/// Returns a mutating call as a command: its last argument is the command id.
fn own_command(call: &Invocation<'_>) -> Result<BatchCommand, CallError> {
    let Some((id, args)) = call.args.split_last() else {
        return Err(CallError::invalid(format!("{} takes a command id last", call.function)));
    };
    let command_id = id.parse().map_err(|why| CallError::invalid(format!("command id: {why}")))?;
    Ok(BatchCommand { command_id, function: call.function.to_owned(), args: args.to_vec() })
}

fn parse(one: &BatchCommand) -> Result<Command, InvalidCommand> {
    Command::try_from(&CommandCall { function: one.function.clone(), args: one.args.clone() })
}

/// Refuses a call with no items or with more than the limit.
pub(crate) fn check_count(count: usize, what: &str) -> Result<(), CallError> {
    let limit = BatchCommand::MAX_COUNT;
    if (1..=limit).contains(&count) {
        return Ok(());
    }
    Err(CallError::invalid(format!("a call has 1 to {limit} {what}, not {count}")))
}

/// Returns the hash that two commands with the same id must share to be the same command.
fn content(one: &BatchCommand) -> String {
    hex::encode(Sha256::digest(json(&(&one.function, &one.args))))
}

fn id_reused(tx_id: &str) -> CallError {
    CallError::refused(
        "COMMAND_ID_REUSED",
        format!("transaction {tx_id} has the command id with other content"),
    )
}

fn finish(
    call: &Invocation<'_>,
    entries: Vec<BatchEntry>,
    overlay: Overlay,
    payload: Vec<u8>,
) -> Response {
    let event = BatchEvent { version: BatchEvent::VERSION, entries };
    Response {
        status: Response::OK,
        message: String::new(),
        payload,
        writes: overlay.into_writes(call.tx_id),
        event: Some((BatchEvent::NAME.to_owned(), json(&event))),
    }
}

impl CommandRecord {
    /// Returns the outcome of a later command with the same id.
    fn again(self, content: &str) -> EntryOutcome {
        if self.content.as_ref().is_none_or(|known| known == content) {
            self.replayed()
        } else {
            EntryOutcome::Mismatch { tx_id: self.tx_id }
        }
    }

    fn replayed(self) -> EntryOutcome {
        EntryOutcome::Replay { tx_id: self.tx_id, first: Box::new(self.outcome) }
    }
}

impl Overlay {
    fn record(
        &mut self,
        id: CommandId,
        content: Option<String>,
        outcome: EntryOutcome,
        tx_id: &str,
    ) {
        let record = CommandRecord { content, outcome, tx_id: tx_id.to_owned() };
        self.put(keys::command(id), &record);
    }
}
