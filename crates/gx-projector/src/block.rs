//! One block, one SQL transaction: checkpoint, effects, event log, settlements.

use std::collections::HashSet;

use gx_db::PgConnection;
use gx_fabric_client::{Block, BlockTransaction, TransactionKind, ValidationCode};
use gx_model::{BatchEntry, BatchEvent, DomainEvent, EventRecord, UnreadableEvent};
use gx_outbox::{RetryPolicy, Settled, Settlement};
use rand::Rng;
use sqlx::Connection;
use time::OffsetDateTime;

use crate::dead::{Fate, apply_or_hold};
use crate::error::{Halt, ProjectorError};
use crate::place::Place;
use crate::store::{checkpoint, dead, people};

/// Reads an event by its name and version.
pub type Decode = fn(&EventRecord) -> Result<DomainEvent, UnreadableEvent>;

/// What applying a block needs to know.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The channel that is followed.
    pub channel: String,
    /// The chaincode whose events count.
    pub chaincode: String,
    /// How events are read; [`EventRecord::decode`].
    pub decode: Decode,
    /// How commands of invalid transactions are tried again.
    pub retry: RetryPolicy,
}

/// What a block brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The block.
    pub number: u64,
    /// Events applied now.
    pub events: u32,
    /// Names and reasons of the events held as dead letters now.
    pub held: Vec<(String, String)>,
    /// Transactions that were not valid, by code.
    pub invalid: Vec<String>,
    /// Commands that moved.
    pub settled: u32,
    /// Transactions of ours: commands may have become free to go.
    pub transactions: u32,
}

/// Applies a block whole, or not at all. The first statement moves the checkpoint from the
/// block before to this one.
///
/// # Errors
/// [`ProjectorError::Halted`] for a block that does not come next or cannot be set aside,
/// [`ProjectorError::CheckpointMoved`] where somebody else applied it; the checkpoint
/// stays where it was.
pub async fn apply_block(
    conn: &mut PgConnection,
    block: &Block,
    rules: &Rules,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<Applied, ProjectorError> {
    let mut tx = conn.begin().await?;
    if !move_checkpoint(&mut tx, block, rules, now).await? {
        let error = why_not_next(&mut tx, block, rules).await?;
        tx.rollback().await?;
        return Err(error);
    }
    let mut held = dead::held_keys(&mut tx, &rules.channel).await?.into_iter().collect();
    let mut applied = Applied { number: block.number, ..Applied::default() };
    for transaction in &block.transactions {
        let mut work = Work { conn: &mut tx, block, transaction, rules, now, held: &mut held };
        work.take(&mut applied, rng).await?;
    }
    tx.commit().await?;
    Ok(applied)
}

async fn move_checkpoint(
    conn: &mut PgConnection,
    block: &Block,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    if block.number == 0 {
        return checkpoint::begin(conn, &rules.channel, &block.hash, now).await;
    }
    let (number, hash) = (block_number(block), &block.hash);
    checkpoint::advance(conn, &rules.channel, number, hash, &block.previous_hash, now).await
}

/// Tells a gap from a broken chain from a lost race.
async fn why_not_next(
    conn: &mut PgConnection,
    block: &Block,
    rules: &Rules,
) -> Result<ProjectorError, sqlx::Error> {
    let Some(at) = gx_outbox::checkpoint(conn, &rules.channel).await? else {
        return Ok(Halt::NotFromZero { number: block.number }.into());
    };
    let expected = u64::try_from(at.block_number).unwrap_or(0).saturating_add(1);
    if block.number < expected {
        return Ok(ProjectorError::CheckpointMoved);
    }
    if block.number > expected {
        return Ok(Halt::Gap { expected, found: block.number }.into());
    }
    Ok(Halt::Broken { number: block.number }.into())
}

/// Block numbers are stored as bigint.
fn block_number(block: &Block) -> i64 {
    i64::try_from(block.number).expect("a chain has fewer than 2^63 blocks")
}

/// One transaction of a block being applied.
struct Work<'a> {
    conn: &'a mut PgConnection,
    block: &'a Block,
    transaction: &'a BlockTransaction,
    rules: &'a Rules,
    now: OffsetDateTime,
    held: &'a mut HashSet<String>,
}

impl<'a> Work<'a> {
    fn settlement(&self) -> Settlement<'a> {
        Settlement {
            tx_id: &self.transaction.tx_id,
            block_number: block_number(self.block),
            now: self.now,
        }
    }

    async fn take(
        &mut self,
        applied: &mut Applied,
        rng: &mut impl Rng,
    ) -> Result<(), ProjectorError> {
        let transaction = self.transaction;
        // A resent envelope says nothing new, whatever it carries.
        let ours = transaction.kind == TransactionKind::Endorser && !transaction.tx_id.is_empty();
        if !ours || transaction.code == ValidationCode::DUPLICATE_TXID {
            return Ok(());
        }
        applied.transactions += 1;
        let from = self.settlement();
        let retry = &self.rules.retry;
        if !transaction.code.is_valid() {
            let code = transaction.code.name();
            let conflict = transaction.code.is_conflict();
            applied.invalid.push(code.clone().into_owned());
            gx_outbox::settle_attempt_invalid(self.conn, from, &code, conflict, retry, rng).await?;
            return Ok(());
        }
        for (entry, first_event) in with_event_indexes(self.entries()?) {
            self.events(&entry, first_event, applied).await?;
            self.settle(&entry, applied).await?;
        }
        gx_outbox::settle_attempt_valid(self.conn, from, retry, rng).await?;
        Ok(())
    }

    /// What our chaincode said in this transaction, if it was ours.
    fn entries(&self) -> Result<Vec<BatchEntry>, Halt> {
        let Some(event) = &self.transaction.event else { return Ok(vec![]) };
        if event.chaincode_id != self.rules.chaincode {
            return Ok(vec![]);
        }
        if event.name != BatchEvent::NAME {
            return Err(self.unplaceable(format!("no chaincode event is named {}", event.name)));
        }
        let batch: BatchEvent = serde_json::from_slice(&event.payload)
            .map_err(|why| self.unplaceable(format!("the chaincode event is malformed: {why}")))?;
        if batch.version != BatchEvent::VERSION {
            let reason = format!("chaincode events of version {} are unknown", batch.version);
            return Err(self.unplaceable(reason));
        }
        Ok(batch.entries)
    }

    fn unplaceable(&self, reason: String) -> Halt {
        Halt::Unplaceable {
            block: self.block.number,
            tx_id: self.transaction.tx_id.clone(),
            reason,
        }
    }

    async fn events(
        &mut self,
        entry: &BatchEntry,
        first_event: i32,
        applied: &mut Applied,
    ) -> Result<(), ProjectorError> {
        for (record, event_index) in entry.events.iter().zip(first_event..) {
            let place = Place {
                channel: &self.rules.channel,
                block_number: block_number(self.block),
                tx_id: &self.transaction.tx_id,
                tx_index: i32::try_from(self.transaction.index)
                    .expect("a block has fewer than 2^31 transactions"),
                event_index,
                command_id: entry.command_id.to_string(),
                ledger_at: to_millisecond(self.transaction.timestamp),
                now: self.now,
            };
            let decode = self.rules.decode;
            let fate = apply_or_hold(self.conn, record, &place, decode, self.held).await?;
            match fate {
                Some(Fate::Applied) => applied.events += 1,
                Some(Fate::Known) => {}
                Some(Fate::Held(reason)) => {
                    let name = record.name().unwrap_or("unnamed").to_owned();
                    applied.held.push((name, reason));
                }
                None => {
                    let reason = format!("event {event_index} does not say what it concerns");
                    return Err(self.unplaceable(reason).into());
                }
            }
        }
        Ok(())
    }

    async fn settle(
        &mut self,
        entry: &BatchEntry,
        applied: &mut Applied,
    ) -> Result<(), ProjectorError> {
        match gx_outbox::settle_entry(self.conn, entry, self.settlement()).await? {
            Settled::Nothing => {}
            Settled::Moved { .. } => applied.settled += 1,
            Settled::UserNotCreated { profile_id } => {
                applied.settled += 1;
                let command_id = entry.command_id.to_string();
                let profile_id = profile_id.as_deref();
                people::return_to_review(self.conn, profile_id, &command_id, self.now).await?;
            }
        }
        Ok(())
    }
}

/// Each entry with the index of its first event in the transaction.
fn with_event_indexes(entries: Vec<BatchEntry>) -> impl Iterator<Item = (BatchEntry, i32)> {
    entries.into_iter().scan(0_i32, |next, entry| {
        let first = *next;
        let events = i32::try_from(entry.events.len()).expect("a transaction is below 2^31 bytes");
        *next = first.saturating_add(events);
        Some((entry, first))
    })
}

/// Rows keep milliseconds; cutting here makes that the same everywhere.
fn to_millisecond(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_millisecond(at.millisecond()).expect("a millisecond read from a time is valid")
}
