//! Reading a block: what it says to the read model and of commands. No database is asked, so
//! that the next blocks are read while the last ones are written.

use std::sync::Arc;

use gx_fabric_client::{Block, BlockTransaction, TransactionKind, ValidationCode};
use gx_model::{BatchEntry, BatchEvent, CommandId, DomainEvent, EntryOutcome, EventRecord};
use gx_outbox::storable;
use time::OffsetDateTime;

use crate::block::{Decode, Rules};
use crate::effects::Effects;
use crate::error::Halt;
use crate::place::Place;

/// What events of no account in particular hold back: each other.
const SYSTEM_KEY: &str = "SYSTEM";
/// An event that changes no projected row, and so neither holds nor is held.
const COMMANDS_ONLY: &str = "CommandsCancelled";

/// A block that was read and can be applied.
#[derive(Debug)]
pub struct ReadBlock {
    /// The block's number.
    pub number: u64,
    pub(crate) hash: [u8; 32],
    pub(crate) previous_hash: Vec<u8>,
    /// An entry that can be neither applied nor set aside stops the projector here.
    pub(crate) transactions: Result<Vec<ReadTransaction>, Halt>,
}

/// A transaction that the ledger judged and that may be ours.
#[derive(Debug)]
pub(crate) struct ReadTransaction {
    pub(crate) tx_id: Arc<str>,
    pub(crate) said: Said,
}

/// What a transaction says.
#[derive(Debug)]
pub(crate) enum Said {
    /// Nothing: it is not valid.
    Invalid { code: String, is_conflict: bool },
    /// What became of its commands.
    Valid(Vec<ReadEntry>),
}

/// What became of one command.
#[derive(Debug)]
pub(crate) struct ReadEntry {
    pub(crate) command_id: CommandId,
    pub(crate) outcome: EntryOutcome,
    pub(crate) events: Vec<ReadEvent>,
}

/// A domain event, as far as it can be read.
#[derive(Debug)]
pub(crate) struct ReadEvent {
    pub(crate) place: Place,
    /// Its name by its own word, for people.
    pub(crate) name: Option<String>,
    /// As it stood on the wire.
    pub(crate) payload: String,
    /// What it concerns.
    pub(crate) keys: Vec<String>,
    /// What it does, or why that cannot be told.
    pub(crate) content: Result<Content, String>,
}

/// What an event does.
#[derive(Debug)]
pub(crate) enum Content {
    /// Rows, which may be written together with those of others; under the event's name.
    Rows(&'static str, Effects),
    /// Something that has statements of its own.
    Rare(DomainEvent),
}

impl ReadBlock {
    /// Reads a block.
    pub fn read(block: &Block, rules: &Rules) -> Self {
        let reading = Reading { block, rules, channel: rules.channel.as_str().into() };
        let transactions = block.transactions.iter().filter_map(|one| reading.transaction(one));
        Self {
            number: block.number,
            hash: block.hash,
            previous_hash: block.previous_hash.clone(),
            transactions: transactions.collect(),
        }
    }
}

/// Block numbers are stored as bigint.
pub(crate) fn stored_number(number: u64) -> i64 {
    i64::try_from(number).expect("a chain has fewer than 2^63 blocks")
}

struct Reading<'a> {
    block: &'a Block,
    rules: &'a Rules,
    channel: Arc<str>,
}

impl Reading<'_> {
    fn transaction(&self, transaction: &BlockTransaction) -> Option<Result<ReadTransaction, Halt>> {
        // A resent envelope says nothing new, whatever it carries.
        let ours = transaction.kind == TransactionKind::Endorser && !transaction.tx_id.is_empty();
        if !ours || transaction.code == ValidationCode::DUPLICATE_TXID {
            return None;
        }
        let tx_id: Arc<str> = transaction.tx_id.as_str().into();
        let said = if transaction.code.is_valid() {
            self.entries(transaction, &tx_id).map(Said::Valid)
        } else {
            let code = transaction.code.name().into_owned();
            Ok(Said::Invalid { code, is_conflict: transaction.code.is_conflict() })
        };
        Some(said.map(|said| ReadTransaction { tx_id, said }))
    }

    /// What our chaincode said in this transaction, if it was ours.
    fn entries(
        &self,
        transaction: &BlockTransaction,
        tx_id: &Arc<str>,
    ) -> Result<Vec<ReadEntry>, Halt> {
        let Some(event) = &transaction.event else { return Ok(vec![]) };
        if event.chaincode_id != self.rules.chaincode {
            return Ok(vec![]);
        }
        let unplaceable = |reason: String| Halt::Unplaceable {
            block: self.block.number,
            tx_id: transaction.tx_id.clone(),
            reason,
        };
        if event.name != BatchEvent::NAME {
            return Err(unplaceable(format!("no chaincode event is named {}", event.name)));
        }
        let batch: BatchEvent = serde_json::from_slice(&event.payload)
            .map_err(|why| unplaceable(format!("the chaincode event is malformed: {why}")))?;
        if batch.version != BatchEvent::VERSION {
            let reason = format!("chaincode events of version {} are unknown", batch.version);
            return Err(unplaceable(reason));
        }
        let mut place = Place {
            channel: self.channel.clone(),
            block_number: stored_number(self.block.number),
            tx_id: tx_id.clone(),
            tx_index: i32::try_from(transaction.index)
                .expect("a block has fewer than 2^31 transactions"),
            event_index: 0,
            command_id: "".into(),
            ledger_at: to_millisecond(transaction.timestamp),
        };
        let mut entries = Vec::with_capacity(batch.entries.len());
        for BatchEntry { command_id, outcome, events } in batch.entries {
            place.command_id = command_id.to_string().into();
            let mut read = Vec::with_capacity(events.len());
            for record in events {
                let event = ReadEvent::read(&record, place.clone(), self.rules.decode);
                read.push(event.ok_or_else(|| {
                    let index = place.event_index;
                    unplaceable(format!("event {index} does not say what it concerns"))
                })?);
                place.event_index = place.event_index.saturating_add(1);
            }
            entries.push(ReadEntry { command_id, outcome, events: read });
        }
        Ok(entries)
    }
}

impl Content {
    /// The name of the event that it is.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Rows(name, _) => name,
            Self::Rare(event) => event.name(),
        }
    }
}

impl ReadEvent {
    /// Reads an event; none where nobody can tell what it concerns, so that it can be neither
    /// applied nor set aside.
    pub(crate) fn read(record: &EventRecord, place: Place, decode: Decode) -> Option<Self> {
        let decoded = decode(record);
        let keys = match &decoded {
            Ok(event) => keys_of_event(event),
            Err(_) => keys_of_record(record)?,
        };
        let content = match decoded {
            Err(why) => Err(why.to_string()),
            Ok(event) => Effects::of(&event, &place).map(|effects| match effects {
                Some(effects) => Content::Rows(event.name(), effects),
                None => Content::Rare(event),
            }),
        };
        Some(Self {
            place,
            name: record.name().map(str::to_owned),
            payload: record.json().to_string(),
            keys,
            content,
        })
    }
}

/// What an event that can be read concerns.
fn keys_of_event(event: &DomainEvent) -> Vec<String> {
    if event.name() == COMMANDS_ONLY {
        return vec![];
    }
    or_system(event.aggregates().iter().map(ToString::to_string).collect())
}

/// What an event concerns by its own word, if it can be told at all.
fn keys_of_record(record: &EventRecord) -> Option<Vec<String>> {
    record.aggregates().map(|keys| or_system(keys.iter().map(|key| storable(key)).collect()))
}

fn or_system(keys: Vec<String>) -> Vec<String> {
    if keys.is_empty() { vec![SYSTEM_KEY.to_owned()] } else { keys }
}

/// Rows keep milliseconds; cutting here makes that the same everywhere.
fn to_millisecond(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_millisecond(at.millisecond()).expect("a millisecond read from a time is valid")
}
