//! Applies blocks in one SQL transaction: checkpoint, effects, event log and settlements. The
//! projector calls [`apply_blocks`] for the blocks that have come, a rebuild for those of its copy.

use gx_db::PgConnection;
use gx_fabric_client::Block;
use gx_model::EntryOutcome;
use gx_outbox::failure::storable;
use gx_outbox::projector::{
    BlockResults, CommandResult, EnvelopeResult, InvalidCode, UserNotCreated,
};
use rand::Rng;
use sqlx::Connection;
use time::OffsetDateTime;

use super::adoption;
use super::events::{ApplyResult, apply_all};
use super::read::{
    Content, ReadBlock, ReadEntry, ReadEvent, ReadTransaction, TransactionResult, stored_number,
};
use super::settings::ApplySettings;
use super::store::checkpoint;
use super::store::dead::{self, NewDead};
use super::store::people;
use crate::error::{Halt, ProjectorError};

/// What applying some blocks changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Number of the last block.
    pub number: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of events that were applied.
    pub events: u64,
    /// Names and reasons of the events that became dead letters.
    pub held: Vec<(String, String)>,
    /// Block number and validation code of each transaction that is not valid.
    pub invalid: Vec<(u64, String)>,
    /// Number of commands that ended or became blocked.
    pub settled: u32,
    /// Kinds of the commands that were refused, one entry for each command.
    pub refused: Vec<String>,
    /// Number of our transactions; if there are any, commands may be due now.
    pub transactions: u32,
}

/// Applies one block, or nothing of it. Called by tests.
///
/// # Errors
/// The errors of [`apply_blocks`].
pub async fn apply_block(
    conn: &mut PgConnection,
    block: &Block,
    settings: &ApplySettings,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<Applied, ProjectorError> {
    apply_blocks(conn, &[ReadBlock::read(block, settings)], settings, rng, now).await
}

/// Applies consecutive blocks, all of them or none.
///
/// The first statement moves the checkpoint from the block before them to the last one. The rows
/// are the same as if each block, and each event in it, were applied by itself.
///
/// # Errors
/// [`ProjectorError::Halted`] for a block that does not follow the checkpoint or whose events
/// cannot be stored, [`ProjectorError::CheckpointMoved`] if another projector has applied the first
/// block. Nothing is changed then.
pub async fn apply_blocks(
    conn: &mut PgConnection,
    blocks: &[ReadBlock],
    settings: &ApplySettings,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<Applied, ProjectorError> {
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        return Ok(Applied::default());
    };
    check_contiguous(blocks)?;
    let mut tx = conn.begin().await?;
    let Some(holds) = move_checkpoint(&mut tx, first, last, settings, now).await? else {
        let error = why_not_next(&mut tx, first, settings).await?;
        tx.rollback().await?;
        return Err(error);
    };
    let mut run = BlockWriter {
        conn: &mut tx,
        settings,
        now,
        events: vec![],
        results: BlockResults::default(),
        applied: Applied {
            number: last.number,
            blocks: u64::try_from(blocks.len()).unwrap_or(u64::MAX),
            ..Applied::default()
        },
    };
    for block in blocks {
        for transaction in block.transactions.as_ref().map_err(Clone::clone)? {
            run.take(block.number, transaction, rng).await?;
        }
    }
    run.flush(rng).await?;
    let applied = run.applied;
    if holds {
        let (first, last) = (stored_number(first.number), stored_number(last.number));
        dead::resolve_applied(&mut tx, &settings.channel, first, last, now).await?;
    }
    tx.commit().await?;
    Ok(applied)
}

/// Checks that the blocks follow each other. Blocks of a follower do; this guards other callers.
fn check_contiguous(blocks: &[ReadBlock]) -> Result<(), Halt> {
    for (before, block) in blocks.iter().zip(blocks.iter().skip(1)) {
        let expected = before.number.saturating_add(1);
        if block.number != expected {
            return Err(Halt::Gap { expected, found: block.number });
        }
        if block.previous_hash != before.hash {
            return Err(Halt::Broken { number: block.number });
        }
    }
    Ok(())
}

/// Moves the checkpoint and returns whether there are dead letters of these blocks, or `None` if
/// the checkpoint is not at the block before them.
async fn move_checkpoint(
    conn: &mut PgConnection,
    first: &ReadBlock,
    last: &ReadBlock,
    settings: &ApplySettings,
    now: OffsetDateTime,
) -> Result<Option<bool>, sqlx::Error> {
    let to = (stored_number(last.number), last.hash.as_slice());
    let Some(before) = first.number.checked_sub(1) else {
        return checkpoint::begin(conn, &settings.channel, &first.hash, to, now).await;
    };
    let from = (stored_number(before), first.previous_hash.as_slice());
    checkpoint::advance(conn, &settings.channel, from, to, now).await
}

/// Returns the error for a block that does not follow the checkpoint: a gap, a broken chain, or a
/// lost race.
async fn why_not_next(
    conn: &mut PgConnection,
    block: &ReadBlock,
    settings: &ApplySettings,
) -> Result<ProjectorError, sqlx::Error> {
    let Some(at) = gx_outbox::tip::checkpoint(conn, &settings.channel).await? else {
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

/// Writes blocks in one transaction; holds what was read from them and is not written yet.
struct BlockWriter<'a, 'c> {
    conn: &'c mut PgConnection,
    settings: &'a ApplySettings,
    now: OffsetDateTime,
    events: Vec<&'a ReadEvent>,
    results: BlockResults<'a>,
    applied: Applied,
}

impl<'a> BlockWriter<'a, '_> {
    /// Collects what a transaction says. Writes what was collected before if an event or entry of
    /// it depends on the rows.
    async fn take(
        &mut self,
        block: u64,
        transaction: &'a ReadTransaction,
        rng: &mut impl Rng,
    ) -> Result<(), sqlx::Error> {
        self.applied.transactions += 1;
        let (tx_id, block_number) = (&*transaction.tx_id, stored_number(block));
        let invalid = match &transaction.result {
            TransactionResult::Invalid { code, is_conflict } => {
                self.applied.invalid.push((block, code.clone()));
                Some(InvalidCode { code, is_conflict: *is_conflict })
            }
            TransactionResult::Valid(entries) => {
                let waits =
                    |entry: &ReadEntry| matches!(entry.outcome, EntryOutcome::Deferred { .. });
                if entries.iter().any(waits) {
                    // Commands in an earlier envelope must be settled first, because only the
                    // others can be blocked.
                    self.flush(rng).await?;
                }
                for entry in entries {
                    for event in &entry.events {
                        self.event(event, rng).await?;
                    }
                    let (command_id, outcome) = (entry.command_id, &entry.outcome);
                    let result = CommandResult { command_id, outcome, tx_id, block_number };
                    self.results.entries.push(result);
                }
                None
            }
        };
        self.results.envelopes.push(EnvelopeResult { tx_id, block_number, invalid });
        Ok(())
    }

    /// Collects an event, or applies it at once if it has its own statements.
    async fn event(&mut self, event: &'a ReadEvent, rng: &mut impl Rng) -> Result<(), sqlx::Error> {
        if !matches!(event.content, Ok(Content::Single(_))) {
            self.events.push(event);
            return Ok(());
        }
        // The event may release commands that earlier entries block, so these are written first.
        self.flush(rng).await?;
        self.apply(&[event]).await
    }

    /// Applies events, and stores those that cannot be applied as dead letters.
    async fn apply(&mut self, events: &[&'a ReadEvent]) -> Result<(), sqlx::Error> {
        if events.is_empty() {
            return Ok(());
        }
        let results = apply_all(self.conn, events, self.now).await?;
        // PostgreSQL stores no NUL; without this the block could never be applied.
        let dead: Vec<_> = events
            .iter()
            .zip(&results)
            .filter_map(|(event, result)| match result {
                ApplyResult::DeadLetter(reason) => Some((*event, storable(reason))),
                ApplyResult::Applied | ApplyResult::AlreadyApplied => None,
            })
            .collect();
        let new: Vec<_> = dead
            .iter()
            .map(|(event, reason)| NewDead {
                event,
                name: event.name.as_deref().map(storable),
                reason,
            })
            .collect();
        if !new.is_empty() {
            dead::hold(self.conn, &self.settings.channel, &new, self.now).await?;
        }
        let applied = results.iter().filter(|result| **result == ApplyResult::Applied).count();
        self.applied.events += u64::try_from(applied).unwrap_or(u64::MAX);
        self.applied.held.extend(dead.into_iter().map(|(event, reason)| {
            (event.name.as_deref().unwrap_or("unnamed").to_owned(), reason)
        }));
        Ok(())
    }

    /// Writes the events and results that were collected so far. Accounts whose CREATE_USER was
    /// refused go back to review.
    async fn flush(&mut self, rng: &mut impl Rng) -> Result<(), sqlx::Error> {
        let (events, mut results) =
            (std::mem::take(&mut self.events), std::mem::take(&mut self.results));
        self.apply(&events).await?;
        adoption::find_effective(self.conn, &mut results).await?;
        let retry = &self.settings.retry;
        let settled =
            gx_outbox::projector::settle(self.conn, &results, retry, rng, self.now).await?;
        self.applied.settled = self.applied.settled.saturating_add(settled.moved);
        adoption::after_settlement(self.conn, &settled, self.now).await?;
        self.applied.refused.extend(settled.refused);
        for UserNotCreated { command_id, profile_id } in settled.users_not_created {
            let profile_id = profile_id.as_ref();
            people::return_to_review(self.conn, profile_id, &command_id, self.now).await?;
        }
        Ok(())
    }
}
