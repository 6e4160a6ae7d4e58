//! The projector's step: lead, begin at the checkpoint, apply what comes.

use std::time::Duration;

use gx_db::{PgConnection, PgPool};
use gx_fabric_client::{Block, BlockId, ChainError, FollowState, Ledger};
use gx_model::{BatchEvent, Clock};
use gx_outbox::{Checkpoint, Probe, Waker};
use rand::rngs::StdRng;

use crate::block::{Applied, Rules, apply_blocks};
use crate::chores::do_chores;
use crate::error::{Halt, ProjectorError};
use crate::intake::Intake;
use crate::leader::Leader;
use crate::read::ReadBlock;
use crate::store::checkpoint;

/// Blocks after which the chores are done although more blocks are there.
const BLOCKS_BETWEEN_CHORES: u64 = 64;

/// What a projector works with.
#[derive(Clone)]
pub struct Parts {
    /// Connections to the read model.
    pub pool: PgPool,
    /// Where the blocks come from.
    pub ledger: Ledger,
    /// How blocks are applied.
    pub rules: Rules,
    /// What time it is.
    pub clock: Clock,
    /// Told when commands may have become free to go.
    pub waker: Waker,
}

/// Turns blocks into the read model, one [`Projector::step`] at a time.
pub struct Projector {
    parts: Parts,
    rng: StdRng,
    leader: Leader,
    probe: Probe,
    intake: Option<Intake>,
    /// Blocks that were received and not applied: they come before all others.
    pending: Vec<ReadBlock>,
    max_blocks: usize,
    /// Outside the pool: dropped in the middle of a statement it is closed, not handed on.
    writer: Option<PgConnection>,
    /// The last block that was applied on this stream, or from which it began.
    at: Option<u64>,
    /// Blocks applied since the chores were done.
    since_chores: u64,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another projector leads.
    Standby,
    /// The chain was compared with the checkpoint, and is followed from there.
    Began {
        /// The last block applied.
        number: u64,
    },
    /// Blocks were applied: one, or all that had come.
    Applied(Applied),
    /// No block came within the time given.
    Idle,
}

impl Projector {
    /// A projector that has not done anything yet.
    pub fn new(parts: Parts, rng: StdRng) -> Self {
        let probe = Probe::default();
        Self {
            parts,
            rng,
            leader: Leader::default(),
            probe,
            intake: None,
            pending: vec![],
            max_blocks: usize::MAX,
            writer: None,
            at: None,
            since_chores: 0,
        }
    }

    /// The same, held at each step until the probe lets it go on.
    #[must_use]
    pub fn with_probe(self, probe: Probe) -> Self {
        Self { probe, ..self }
    }

    /// The same, applying at most so many blocks at once.
    #[must_use]
    pub fn with_max_blocks(self, max_blocks: usize) -> Self {
        Self { max_blocks, ..self }
    }

    /// What it works with.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Does the next thing: take the lead, begin, or apply the blocks that have come, waiting
    /// at most `wait` for one. Dropping the future loses nothing: blocks are applied whole
    /// or not at all, and come again.
    ///
    /// # Errors
    /// [`ProjectorError`]; the next step takes up where this one failed.
    pub async fn step(&mut self, wait: Duration) -> Result<Progress, ProjectorError> {
        let leads = self.leader.hold(&self.parts.pool, &self.parts.rules.channel).await;
        if !matches!(leads, Ok(true)) {
            // Whoever leads anew begins at the checkpoint: others may have led meanwhile, or
            // the database was put back.
            self.forget();
        }
        if !leads? {
            return Ok(Progress::Standby);
        }
        if self.since_chores >= BLOCKS_BETWEEN_CHORES {
            self.between_blocks().await?;
        }
        let Some(intake) = &mut self.intake else {
            return self.begin().await;
        };
        if self.pending.is_empty() {
            match tokio::time::timeout(wait, intake.run(self.max_blocks)).await {
                Err(_elapsed) => {
                    self.between_blocks().await?;
                    self.forget_if_put_back().await?;
                    return Ok(Progress::Idle);
                }
                Ok(Ok(blocks)) => self.pending = blocks,
                Ok(Err(ChainError::Stopped)) => {
                    self.forget();
                    return Ok(Progress::Idle);
                }
                Ok(Err(wrong)) => {
                    // The next step compares the chain with the checkpoint again.
                    self.forget();
                    return Err(wrong.into());
                }
            }
        }
        self.probe.at("received").await;
        let applied = apply_on(&self.parts, &mut self.writer, &mut self.rng, &self.pending).await;
        self.probe.at("applied").await;
        match &applied {
            Ok(applied) => {
                self.pending.clear();
                self.at = Some(applied.number);
                self.since_chores += applied.blocks;
            }
            Err(ProjectorError::CheckpointMoved) => {
                self.forget();
                self.leader.give_up();
            }
            // The database may be an older one now: the next step begins at its checkpoint.
            Err(ProjectorError::Halted(_)) => self.forget(),
            // The blocks stay pending, and nothing overtakes them.
            Err(ProjectorError::Database(_) | ProjectorError::Ledger(_)) => {}
        }
        applied.map(Progress::Applied)
    }

    /// How the stream of blocks fares, once there is one.
    pub fn stream(&self) -> Option<FollowState> {
        self.intake.as_ref().map(Intake::state)
    }

    /// The height of the ledger, as far as it is known.
    pub(crate) fn height(&self) -> Option<u64> {
        self.intake.as_ref().and_then(Intake::height)
    }

    /// Frees the lead, so that a standby takes over at once.
    pub fn stop(&mut self) {
        self.forget();
        self.leader.give_up();
    }

    /// Does the chores. A chain that never rests must not put them off for ever.
    async fn between_blocks(&mut self) -> Result<(), ProjectorError> {
        self.since_chores = 0;
        Ok(do_chores(&self.parts).await?)
    }

    /// A database that was put back under a quiet chain is not noticed by a block that does
    /// not fit; and the submitter sends nothing before the projector is at the tip again.
    async fn forget_if_put_back(&mut self) -> Result<(), ProjectorError> {
        let mut conn = self.parts.pool.acquire().await?;
        let known = gx_outbox::checkpoint(&mut conn, &self.parts.rules.channel).await?;
        let applied = known.and_then(|known| u64::try_from(known.block_number).ok());
        if applied != self.at {
            self.forget();
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.intake = None;
        self.pending.clear();
    }

    /// Compares the chain with the checkpoint and follows it from there, or from block 0
    /// where there is no checkpoint.
    async fn begin(&mut self) -> Result<Progress, ProjectorError> {
        let mut conn = self.parts.pool.acquire().await?;
        let known = gx_outbox::checkpoint(&mut conn, &self.parts.rules.channel).await?;
        drop(conn);
        self.probe.at("compared").await;
        let from = match known {
            Some(known) => self.resume(&known).await?,
            None => {
                let genesis = self.parts.ledger.block(0).await?;
                let read = ReadBlock::read(&genesis, &self.parts.rules);
                apply_on(&self.parts, &mut self.writer, &mut self.rng, &[read]).await?;
                genesis.id()
            }
        };
        let follower = self.parts.ledger.follow(from);
        self.intake = Some(Intake::start(follower, self.parts.rules.clone()));
        self.at = Some(from.number);
        Ok(Progress::Began { number: from.number })
    }

    async fn resume(&self, known: &Checkpoint) -> Result<BlockId, ProjectorError> {
        let found = self.parts.ledger.genesis().await?.hash;
        if found.as_slice() != known.genesis_hash {
            let expected = to_hash(&known.genesis_hash);
            return Err(ChainError::OtherChain { number: 0, expected, found }.into());
        }
        self.check_not_emptied(known).await?;
        // The follower asks for this very block and compares its hash.
        let number = u64::try_from(known.block_number).unwrap_or(0);
        Ok(BlockId { number, hash: to_hash(&known.block_hash) })
    }

    /// An empty read model is believed only if the chain holds no event up to the checkpoint.
    async fn check_not_emptied(&self, known: &Checkpoint) -> Result<(), ProjectorError> {
        let mut conn = self.parts.pool.acquire().await?;
        let has_events = checkpoint::has_events(&mut conn, &self.parts.rules.channel).await?;
        drop(conn);
        let last = u64::try_from(known.block_number).unwrap_or(0);
        if has_events || last == 0 {
            return Ok(());
        }
        let mut blocks = self.parts.ledger.blocks(1);
        while let Some(block) = blocks.next().await? {
            if self.has_events(&block) {
                let checkpoint = known.block_number;
                return Err(Halt::EmptyReadModel { checkpoint, block: block.number }.into());
            }
            if block.number >= last {
                break;
            }
        }
        Ok(())
    }

    fn has_events(&self, block: &Block) -> bool {
        let ours = block.transactions.iter().filter(|one| one.code.is_valid());
        let events = ours.filter_map(|one| one.event.as_ref());
        events.filter(|event| event.chaincode_id == self.parts.rules.chaincode).any(|event| {
            let batch = serde_json::from_slice::<BatchEvent>(&event.payload);
            batch.map_or(true, |batch| batch.entries.iter().any(|entry| !entry.events.is_empty()))
        })
    }
}

async fn apply_on(
    parts: &Parts,
    writer: &mut Option<PgConnection>,
    rng: &mut StdRng,
    blocks: &[ReadBlock],
) -> Result<Applied, ProjectorError> {
    let mut conn = match writer.take() {
        Some(conn) => conn,
        None => parts.pool.acquire().await?.detach(),
    };
    let applied = apply_blocks(&mut conn, blocks, &parts.rules, rng, parts.clock.now()).await?;
    *writer = Some(conn);
    if applied.transactions > 0 {
        parts.waker.wake();
    }
    Ok(applied)
}

/// A stored hash; one of another length equals none of the chain's.
fn to_hash(stored: &[u8]) -> [u8; 32] {
    stored.try_into().unwrap_or_default()
}
