//! Reads what a block says to the read model and about commands. This needs no database, so the
//! block reader reads the next blocks while the last ones are written. Replays of dead letters read
//! single events. An event that cannot be read is kept with the reason; one that does not even name
//! what it concerns halts the projector at its block.

use std::sync::Arc;

use gx_fabric_client::{Block, BlockTransaction, TransactionKind, ValidationCode};
use gx_model::{BatchEntry, BatchEvent, CommandId, DomainEvent, EntryOutcome, EventRecord};
use gx_outbox::failure::storable;
use time::OffsetDateTime;

use super::effects::Effects;
use super::settings::{ApplySettings, Decode};
use crate::error::Halt;
use crate::place::Place;

/// The key of dead letters that concern no account.
const SYSTEM_KEY: &str = "SYSTEM";
/// An event that changes no projected row and concerns no account.
const COMMANDS_ONLY: &str = "CommandsCancelled";

/// A block that was read and can be applied.
#[derive(Debug)]
pub struct ReadBlock {
    /// The block's number.
    pub number: u64,
    pub(crate) hash: [u8; 32],
    pub(crate) previous_hash: Vec<u8>,
    /// The transactions, or why the projector must halt at this block.
    pub(crate) transactions: Result<Vec<ReadTransaction>, Halt>,
}

/// A transaction with a validation code that may be ours.
#[derive(Debug)]
pub(crate) struct ReadTransaction {
    pub(crate) tx_id: Arc<str>,
    pub(crate) result: TransactionResult,
}

/// The result of a transaction.
#[derive(Debug)]
pub(crate) enum TransactionResult {
    /// The transaction is not valid.
    Invalid { code: String, is_conflict: bool },
    /// The outcomes of its commands.
    Valid(Vec<ReadEntry>),
}

/// The outcome of one command, with its events.
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
    /// The name that the event gives itself, for operators.
    pub(crate) name: Option<String>,
    /// The event as JSON, as the chain has it.
    pub(crate) payload: String,
    /// Aggregate keys of what the event concerns.
    pub(crate) keys: Vec<String>,
    /// The effects of the event, or why they cannot be read.
    pub(crate) content: Result<Content, String>,
}

/// The effects of an event.
#[derive(Debug)]
pub(crate) enum Content {
    /// Name of the event, and rows that may be written together with those of other events.
    Rows(&'static str, Effects),
    /// An event of a rare kind, which has its own statements.
    Single(DomainEvent),
}

impl ReadBlock {
    /// Reads a block.
    pub fn read(block: &Block, settings: &ApplySettings) -> Self {
        let reading = Reading { block, settings, channel: settings.channel.as_str().into() };
        let transactions = block.transactions.iter().filter_map(|one| reading.transaction(one));
        Self {
            number: block.number,
            hash: block.hash,
            previous_hash: block.previous_hash.clone(),
            transactions: transactions.collect(),
        }
    }
}

/// Returns a block number as the database stores it.
pub(crate) fn stored_number(number: u64) -> i64 {
    i64::try_from(number).expect("a chain has fewer than 2^63 blocks")
}

struct Reading<'a> {
    block: &'a Block,
    settings: &'a ApplySettings,
    channel: Arc<str>,
}

impl Reading<'_> {
    /// Returns what a transaction says, or `None` if it cannot be ours.
    fn transaction(&self, transaction: &BlockTransaction) -> Option<Result<ReadTransaction, Halt>> {
        // An envelope that was sent again has the code DUPLICATE_TXID and says nothing new.
        let ours = transaction.kind == TransactionKind::Endorser && !transaction.tx_id.is_empty();
        if !ours || transaction.code == ValidationCode::DUPLICATE_TXID {
            return None;
        }
        let tx_id: Arc<str> = transaction.tx_id.as_str().into();
        let result = if transaction.code.is_valid() {
            self.entries(transaction, &tx_id).map(TransactionResult::Valid)
        } else {
            let code = transaction.code.name().into_owned();
            Ok(TransactionResult::Invalid { code, is_conflict: transaction.code.is_conflict() })
        };
        Some(result.map(|result| ReadTransaction { tx_id, result }))
    }

    /// Returns the entries of our chaincode's event; none if the transaction called another
    /// chaincode. An event that is not a batch of the known version halts the projector.
    fn entries(
        &self,
        transaction: &BlockTransaction,
        tx_id: &Arc<str>,
    ) -> Result<Vec<ReadEntry>, Halt> {
        let Some(event) = &transaction.event else { return Ok(vec![]) };
        if event.chaincode_id != self.settings.chaincode {
            return Ok(vec![]);
        }
        let unplaceable = |reason: String| Halt::Unplaceable {
            block: self.block.number,
            tx_id: transaction.tx_id.clone(),
            reason,
        };
        if event.name != BatchEvent::NAME {
            return Err(unplaceable(format!("the chaincode event {} is unknown", event.name)));
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
                let event = ReadEvent::read(&record, place.clone(), self.settings.decode);
                read.push(event.ok_or_else(|| {
                    let index = place.event_index;
                    unplaceable(format!("event {index} does not name what it concerns"))
                })?);
                place.event_index = place.event_index.saturating_add(1);
            }
            entries.push(ReadEntry { command_id, outcome, events: read });
        }
        Ok(entries)
    }
}

impl Content {
    /// Returns the name of the event.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Rows(name, _) => name,
            Self::Single(event) => event.name(),
        }
    }
}

impl ReadEvent {
    /// Reads an event. Returns `None` if it does not name what it concerns: then it can neither be
    /// applied nor become a dead letter.
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
                None => Content::Single(event),
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

/// Returns the aggregate keys of an event that can be read.
fn keys_of_event(event: &DomainEvent) -> Vec<String> {
    if event.name() == COMMANDS_ONLY {
        return vec![];
    }
    or_system(event.aggregates().iter().map(ToString::to_string).collect())
}

/// Returns the aggregate keys that an event names by itself, if it names any.
fn keys_of_record(record: &EventRecord) -> Option<Vec<String>> {
    record.aggregates().map(|keys| or_system(keys.iter().map(|key| storable(key)).collect()))
}

/// Returns the keys, or the key of the system if there are none.
fn or_system(keys: Vec<String>) -> Vec<String> {
    if keys.is_empty() { vec![SYSTEM_KEY.to_owned()] } else { keys }
}

/// Cuts a time to milliseconds, as rows store it, so that each use of the time is equal.
fn to_millisecond(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_millisecond(at.millisecond()).expect("a millisecond read from a time is valid")
}
