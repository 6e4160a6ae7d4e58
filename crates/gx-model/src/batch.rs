//! Commands on their way into one transaction, and what that transaction says of them.
//!
//! A transaction sets the one chaincode event [`BatchEvent::NAME`], whose payload is the
//! JSON of a [`BatchEvent`]: one entry per command, in order, each with its outcome and its
//! domain events. A direct call sets the same event with one entry.

use serde::{Deserialize, Serialize};

use crate::{Command, CommandCall, CommandId, EventRecord, Prerequisite, Rejection};

/// `BatchContract:Execute`: one argument, the JSON of 1 to [`BatchCommand::MAX_COUNT`]
/// of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchCommand {
    /// Which command.
    pub command_id: CommandId,
    /// The function that carries it out.
    pub function: String,
    /// Its arguments, the command id left out.
    pub args: Vec<String>,
}

impl BatchCommand {
    /// The function that executes a batch. It alone takes no command id of its own.
    pub const EXECUTE: &str = "BatchContract:Execute";
    /// The function that fences ids off: a JSON list of ids, then a command id.
    pub const CANCEL: &str = "BatchContract:Cancel";
    /// Commands in a batch, or ids in a cancellation, at most.
    pub const MAX_COUNT: usize = 500;
    /// Bytes of a batch's JSON, at most.
    pub const MAX_BYTES: usize = 1_000_000;

    /// A command of that id, as a batch carries it.
    pub fn new(command_id: CommandId, command: &Command) -> Self {
        let CommandCall { function, args } = command.call();
        Self { command_id, function, args }
    }
}

/// Everything one transaction did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchEvent {
    /// Version of this form, [`BatchEvent::VERSION`].
    pub version: u32,
    /// One entry per command, in the order of execution.
    pub entries: Vec<BatchEntry>,
}

impl BatchEvent {
    /// The chaincode event's name.
    pub const NAME: &str = "GxBatch";
    /// The version written now.
    pub const VERSION: u32 = 1;
}

/// What became of one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchEntry {
    /// Which command.
    pub command_id: CommandId,
    /// How it ended.
    pub outcome: EntryOutcome,
    /// What it changed; empty unless applied.
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
    /// Took effect. Final, recorded on chain.
    Applied {},
    /// Refused by a rule. Final, recorded on chain.
    Refused {
        /// Which rule, and why.
        rejection: Rejection,
    },
    /// Nothing written: the command waits for a prerequisite.
    Deferred {
        /// What is missing.
        prerequisite: Prerequisite,
    },
    /// The id is already on chain with the same content: nothing written now.
    Replay {
        /// The transaction in which it first ended.
        tx_id: String,
        /// How it ended then.
        first: Box<EntryOutcome>,
    },
    /// The id is already on chain with other content: nothing written now.
    Mismatch {
        /// The transaction in which the id was first used.
        tx_id: String,
    },
    /// Cancelled before it took effect. Final, recorded on chain.
    Cancelled {},
}
