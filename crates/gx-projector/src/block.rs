//! A row of blocks, one SQL transaction: checkpoint, effects, event log, settlements.

use std::collections::HashSet;

use gx_db::PgConnection;
use gx_fabric_client::Block;
use gx_model::{DomainEvent, EntryOutcome, EventRecord, UnreadableEvent};
use gx_outbox::{Invalid, Judged, RetryPolicy, UserNotCreated, Verdict, Verdicts};
use rand::Rng;
use sqlx::Connection;
use time::OffsetDateTime;

use crate::dead::{Fate, apply_one};
use crate::error::{Halt, ProjectorError};
use crate::events::apply_all;
use crate::read::{Content, ReadBlock, ReadEntry, ReadEvent, ReadTransaction, Said, stored_number};
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

/// What a row of blocks brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The last block.
    pub number: u64,
    /// How many blocks they were.
    pub blocks: u64,
    /// Events applied now.
    pub events: u64,
    /// Names and reasons of the events held as dead letters now.
    pub held: Vec<(String, String)>,
    /// Transactions that were not valid: block and code.
    pub invalid: Vec<(u64, String)>,
    /// Commands that moved.
    pub settled: u32,
    /// Kinds of the commands that were refused now.
    pub refused: Vec<String>,
    /// Transactions of ours: commands may have become free to go.
    pub transactions: u32,
}

impl Applied {
    pub(crate) fn add(&mut self, event: &ReadEvent, fate: Fate) {
        match fate {
            Fate::Applied => self.events += 1,
            Fate::Known => {}
            Fate::Held(reason) => {
                let name = event.name.as_deref().unwrap_or("unnamed").to_owned();
                self.held.push((name, reason));
            }
        }
    }
}

/// Applies a block whole, or not at all.
///
/// # Errors
/// Those of [`apply_blocks`].
pub async fn apply_block(
    conn: &mut PgConnection,
    block: &Block,
    rules: &Rules,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<Applied, ProjectorError> {
    apply_blocks(conn, &[ReadBlock::read(block, rules)], rules, rng, now).await
}

/// Applies blocks that follow each other, all of them or none. The first statement moves the
/// checkpoint from the block before them to their last. The rows are those of applying each
/// block by itself, each event by itself.
///
/// # Errors
/// [`ProjectorError::Halted`] for a block that does not come next or cannot be set aside,
/// [`ProjectorError::CheckpointMoved`] where somebody else applied the first; the checkpoint
/// stays where it was.
pub async fn apply_blocks(
    conn: &mut PgConnection,
    blocks: &[ReadBlock],
    rules: &Rules,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<Applied, ProjectorError> {
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        return Ok(Applied::default());
    };
    check_contiguous(blocks)?;
    let mut tx = conn.begin().await?;
    if !move_checkpoint(&mut tx, first, last, rules, now).await? {
        let error = why_not_next(&mut tx, first, rules).await?;
        tx.rollback().await?;
        return Err(error);
    }
    let held = dead::held_keys(&mut tx, &rules.channel).await?.into_iter().collect();
    let mut run = Run {
        conn: &mut tx,
        rules,
        now,
        held,
        events: vec![],
        verdicts: Verdicts::default(),
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
    tx.commit().await?;
    Ok(applied)
}

/// Whoever follows a chain hands out nothing else; what comes from elsewhere is checked too.
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

async fn move_checkpoint(
    conn: &mut PgConnection,
    first: &ReadBlock,
    last: &ReadBlock,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let to = (stored_number(last.number), last.hash.as_slice());
    let Some(before) = first.number.checked_sub(1) else {
        return checkpoint::begin(conn, &rules.channel, &first.hash, to, now).await;
    };
    let from = (stored_number(before), first.previous_hash.as_slice());
    checkpoint::advance(conn, &rules.channel, from, to, now).await
}

/// Tells a gap from a broken chain from a lost race.
async fn why_not_next(
    conn: &mut PgConnection,
    block: &ReadBlock,
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

/// Blocks being applied: what was taken from them and not yet written.
struct Run<'a, 'c> {
    conn: &'c mut PgConnection,
    rules: &'a Rules,
    now: OffsetDateTime,
    held: HashSet<String>,
    events: Vec<&'a ReadEvent>,
    verdicts: Verdicts<'a>,
    applied: Applied,
}

impl<'a> Run<'a, '_> {
    async fn take(
        &mut self,
        block: u64,
        transaction: &'a ReadTransaction,
        rng: &mut impl Rng,
    ) -> Result<(), sqlx::Error> {
        self.applied.transactions += 1;
        let (tx_id, block_number) = (&*transaction.tx_id, stored_number(block));
        let invalid = match &transaction.said {
            Said::Invalid { code, is_conflict } => {
                self.applied.invalid.push((block, code.clone()));
                Some(Invalid { code, is_conflict: *is_conflict })
            }
            Said::Valid(entries) => {
                let waits =
                    |entry: &ReadEntry| matches!(entry.outcome, EntryOutcome::Deferred { .. });
                if entries.iter().any(waits) {
                    // Only what is not under way in an earlier envelope can be blocked.
                    self.flush(rng).await?;
                }
                for entry in entries {
                    for event in &entry.events {
                        self.event(event, rng).await?;
                    }
                    let (command_id, outcome) = (entry.command_id, &entry.outcome);
                    let verdict = Verdict { command_id, outcome, tx_id, block_number };
                    self.verdicts.entries.push(verdict);
                }
                None
            }
        };
        self.verdicts.envelopes.push(Judged { tx_id, block_number, invalid });
        Ok(())
    }

    async fn event(&mut self, event: &'a ReadEvent, rng: &mut impl Rng) -> Result<(), sqlx::Error> {
        if !matches!(event.content, Ok(Content::Rare(_))) {
            self.events.push(event);
            return Ok(());
        }
        // It may free commands that entries before it block.
        self.flush(rng).await?;
        let fate = apply_one(self.conn, event, &mut self.held, self.now).await?;
        self.applied.add(event, fate);
        Ok(())
    }

    /// Writes what was taken so far.
    async fn flush(&mut self, rng: &mut impl Rng) -> Result<(), sqlx::Error> {
        let (events, verdicts) =
            (std::mem::take(&mut self.events), std::mem::take(&mut self.verdicts));
        apply_all(self.conn, &events, &mut self.held, self.now, &mut self.applied).await?;
        let retry = &self.rules.retry;
        let settled = gx_outbox::settle(self.conn, &verdicts, retry, rng, self.now).await?;
        self.applied.settled = self.applied.settled.saturating_add(settled.moved);
        self.applied.refused.extend(settled.refused);
        for UserNotCreated { command_id, profile_id } in settled.users_not_created {
            let profile_id = profile_id.as_deref();
            people::return_to_review(self.conn, profile_id, &command_id, self.now).await?;
        }
        Ok(())
    }
}
