//! Batches of commands, and the event in which a transaction reports their outcomes. The submitter
//! writes batches, the contracts execute them and write the event, and the projector reads the
//! event.
//!
//! A transaction sets the one chaincode event [`BatchEvent::NAME`], whose payload is the JSON of a
//! [`BatchEvent`]: one entry per command, in order, each with its outcome and its domain events. A
//! direct call sets the same event with one entry.

use serde::{Deserialize, Serialize};

use crate::{Command, CommandCall, CommandId, EventRecord, Prerequisite, Rejection};

/// One command of a batch. The one argument of `BatchContract:Execute` is the JSON of 1 to
/// [`BatchCommand::MAX_COUNT`] of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchCommand {
    /// The id of the command.
    pub command_id: CommandId,
    /// The contract function that carries out the command, `Contract:Function`.
    pub function: String,
    /// The arguments of the function, without the command id.
    pub args: Vec<String>,
}

impl BatchCommand {
    /// The function that executes a batch. All other mutating functions take a command id last;
    /// this one takes none.
    pub const EXECUTE: &str = "BatchContract:Execute";
    /// The function that cancels command ids. Its arguments are a JSON list of ids and its own
    /// command id.
    pub const CANCEL: &str = "BatchContract:Cancel";
    /// Limit of commands in a batch and of ids in a cancellation.
    pub const MAX_COUNT: usize = 500;
    /// Limit of bytes in a batch's JSON.
    pub const MAX_BYTES: usize = 1_000_000;

    /// Returns the command with its id in the form in which a batch carries it.
    pub fn new(command_id: CommandId, command: &Command) -> Self {
        let CommandCall { function, args } = command.call();
        Self { command_id, function, args }
    }
}

/// The payload of the chaincode event: the outcomes of all commands of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchEvent {
    /// Version of this format, [`BatchEvent::VERSION`].
    pub version: u32,
    /// One entry per command, in the order of execution.
    pub entries: Vec<BatchEntry>,
}

impl BatchEvent {
    /// The chaincode event's name.
    pub const NAME: &str = "GxBatch";
    /// The version that this release writes.
    pub const VERSION: u32 = 1;
}

/// The outcome of one command in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchEntry {
    /// The id of the command.
    pub command_id: CommandId,
    /// How the command ended.
    pub outcome: EntryOutcome,
    /// The changes of the ledger; empty unless the outcome is `Applied`.
    pub events: Vec<EventRecord>,
}

/// How a command ended in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "status",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum EntryOutcome {
    /// The command took effect. Final and recorded on the ledger.
    Applied {},
    /// A rule refused the command. Final and recorded on the ledger.
    Refused {
        /// The rule, and what is wrong.
        rejection: Rejection,
    },
    /// The command waits for a prerequisite. Nothing was written.
    Deferred {
        /// The prerequisite that is missing.
        prerequisite: Prerequisite,
    },
    /// The ledger already has the id with the same content. Nothing was written.
    Replay {
        /// The transaction in which the command ended.
        tx_id: String,
        /// The outcome that the command had there.
        first: Box<EntryOutcome>,
    },
    /// The ledger already has the id with other content. Nothing was written.
    Mismatch {
        /// The transaction that used the id first.
        tx_id: String,
    },
    /// The id was cancelled before it took effect. Final and recorded on the ledger.
    Cancelled {},
}
