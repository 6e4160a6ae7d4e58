//! The step of the projector: takes the lead, compares the chain with the checkpoint, applies
//! blocks.
//!
//! The loop in `run`, tests and the simulation call [`Projector::step`] again and again. After an
//! error the next call continues, from the checkpoint if the block stream or the lead was lost.

use std::time::Duration;

use gx_db::{PgConnection, PgPool};
use gx_fabric_client::{Block, BlockId, ChainError, FollowState};
use gx_model::BatchEvent;
use gx_outbox::sync_points::SyncPoints;
use gx_outbox::tip::Checkpoint;
use rand::rngs::StdRng;

use crate::apply::BlockReader;
use crate::apply::ReadBlock;
use crate::apply::store::checkpoint;
use crate::apply::{Applied, apply_blocks};
use crate::block_limit::BlockLimit;
use crate::context::ProjectorContext;
use crate::error::{Halt, ProjectorError, exceeds_resources};
use crate::leader::{LeadSettings, Leader, StepProgress, WatchedSession, wait_for_locks};
use crate::operate::{request_replay_of_old_releases, run_housekeeping};

/// Number of blocks after which housekeeping runs even if more blocks are waiting.
const BLOCKS_BETWEEN_HOUSEKEEPING: u64 = 64;

/// Makes the read model from blocks, one [`Projector::step`] at a time.
pub struct Projector {
    context: ProjectorContext,
    rng: StdRng,
    leader: Leader,
    sync_points: SyncPoints,
    /// `None` until the chain was compared with the checkpoint, and after the stream was lost.
    block_reader: Option<BlockReader>,
    /// Blocks that were received and not applied. They are applied before any other.
    pending: Vec<ReadBlock>,
    /// Limit that the caller set, for tests and the simulation.
    max_blocks: usize,
    /// `None` until blocks are applied, and after a failed application.
    writer: Option<Writer>,
    /// The last block that was applied from this stream, or the block before its first one.
    at: Option<u64>,
    /// Number of blocks that were applied since housekeeping ran.
    blocks_since_housekeeping: u64,
    /// Whether housekeeping has more parts of a task to carry out.
    has_more_housekeeping: bool,
    /// Limit of the blocks that are applied at once.
    block_limit: BlockLimit,
    /// Whether this process has looked for dead letters of older releases.
    has_requested_replay: bool,
}

/// The connection that applies blocks. It is not from the pool: if a step is dropped in the middle
/// of a statement, the connection is closed and not used again.
struct Writer {
    conn: PgConnection,
    _watched: WatchedSession,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another projector leads; nothing was done.
    Standby,
    /// The chain was compared with the checkpoint, and is followed from there.
    Began {
        /// Number of the last block that was applied before.
        number: u64,
    },
    /// One or more blocks were applied.
    Applied(Applied),
    /// No block came within the given time.
    Idle,
}

impl Projector {
    /// Creates a projector. It does nothing before its first step.
    pub fn new(context: ProjectorContext, rng: StdRng) -> Self {
        let sync_points = SyncPoints::default();
        Self {
            context,
            rng,
            leader: Leader::new(LeadSettings::default()),
            sync_points,
            block_reader: None,
            pending: vec![],
            max_blocks: usize::MAX,
            writer: None,
            at: None,
            blocks_since_housekeeping: 0,
            has_more_housekeeping: false,
            block_limit: BlockLimit::default(),
            has_requested_replay: false,
        }
    }

    /// Returns this projector with a test hook that runs between the steps of the protocol.
    #[must_use]
    pub fn with_sync_points(self, sync_points: SyncPoints) -> Self {
        Self { sync_points, ..self }
    }

    /// Returns this projector with a limit of the blocks that it applies at once.
    #[must_use]
    pub fn with_max_blocks(self, max_blocks: usize) -> Self {
        Self { max_blocks, ..self }
    }

    /// Returns this projector with other settings of its lead.
    #[must_use]
    pub fn with_lead(self, settings: LeadSettings) -> Self {
        Self { leader: Leader::new(settings), ..self }
    }

    /// Returns what the projector works with.
    pub fn context(&self) -> &ProjectorContext {
        &self.context
    }

    /// Takes one step: takes the lead, compares the chain with the checkpoint, or applies the
    /// blocks that have come, waiting at most `wait` for one.
    ///
    /// Dropping the future loses nothing: blocks are applied completely or not at all, and come
    /// again.
    ///
    /// # Errors
    /// [`ProjectorError`]; the next step continues where this one failed.
    pub async fn step(&mut self, wait: Duration) -> Result<Progress, ProjectorError> {
        let progress = self.step_progress().clone();
        let _under_way = progress.step();
        let leads = self.leader.hold(&self.context.pool, &self.context.settings.channel).await;
        if !matches!(leads, Ok(true)) {
            // A new leader begins at the checkpoint: another projector may have led, or the
            // database may have been restored.
            self.forget();
        }
        if !leads? {
            return Ok(Progress::Standby);
        }
        progress.beat();
        let lost = self.leader.lost();
        tokio::select! {
            done = self.work(wait, &progress) => done,
            lost = lost => {
                // The connection is dropped, so the server rolls back its transaction.
                self.forget();
                self.leader.give_up();
                Err(lost.into())
            }
        }
    }

    /// Returns the handle by which steps report progress.
    pub(crate) fn step_progress(&self) -> &StepProgress {
        self.leader.step_progress()
    }

    /// Does the work of a step while this projector leads.
    async fn work(
        &mut self,
        wait: Duration,
        progress: &StepProgress,
    ) -> Result<Progress, ProjectorError> {
        // If a task has many parts, parts and blocks take turns.
        let blocks_first = if self.has_more_housekeeping { 1 } else { BLOCKS_BETWEEN_HOUSEKEEPING };
        if self.blocks_since_housekeeping >= blocks_first {
            self.between_blocks().await?;
        }
        let wait = if self.has_more_housekeeping { Duration::ZERO } else { wait };
        let Some(block_reader) = &mut self.block_reader else {
            return self.begin().await;
        };
        if self.pending.is_empty() {
            let next = tokio::time::timeout(wait, block_reader.next_blocks(self.max_blocks));
            match progress.wait(next).await {
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
        self.sync_points.reach("received").await;
        // The process may have been stopped while it waited, and another one may lead.
        if let Err(lost) = self.leader.still_holds().await {
            self.forget();
            return Err(lost.into());
        }
        let count = self.block_limit.of(self.pending.len());
        let (context, rng, run) = (&self.context, &mut self.rng, &self.pending[..count]);
        let applied = apply_on(context, &mut self.writer, progress, rng, run).await;
        self.sync_points.reach("applied").await;
        match &applied {
            Ok(applied) => {
                self.pending.drain(..count);
                self.block_limit.grow();
                self.at = Some(applied.number);
                self.blocks_since_housekeeping += applied.blocks;
            }
            Err(ProjectorError::CheckpointMoved) => {
                self.forget();
                self.leader.give_up();
            }
            // The database may have been restored: the next step begins at its checkpoint.
            Err(ProjectorError::Halted(_)) => self.forget(),
            // The blocks stay pending and are applied by the next step.
            Err(ProjectorError::Database(error)) if exceeds_resources(error) => {
                self.block_limit.halve(count);
            }
            Err(ProjectorError::Database(_) | ProjectorError::Ledger(_)) => {}
        }
        applied.map(Progress::Applied)
    }

    /// Returns the state of the block stream, if there is one.
    pub fn stream(&self) -> Option<FollowState> {
        self.block_reader.as_ref().map(BlockReader::state)
    }

    /// Returns the height of the ledger, or `None` without a stream or before a peer has answered.
    pub(crate) fn height(&self) -> Option<u64> {
        self.block_reader.as_ref().and_then(BlockReader::height)
    }

    /// Releases the lead so that a standby can take it.
    pub fn stop(&mut self) {
        self.forget();
        self.leader.give_up();
    }

    /// Runs housekeeping. It must also run if blocks never stop coming.
    async fn between_blocks(&mut self) -> Result<(), ProjectorError> {
        self.blocks_since_housekeeping = 0;
        self.has_more_housekeeping =
            run_housekeeping(&self.context, &self.sync_points, self.leader.step_progress()).await?;
        Ok(())
    }

    /// Starts again if the checkpoint has moved. A database that was restored while no block comes
    /// is noticed only here, and the submitter sends nothing until the projector is at the tip.
    async fn forget_if_put_back(&mut self) -> Result<(), ProjectorError> {
        let mut conn = self.context.pool.acquire().await?;
        let known = gx_outbox::tip::checkpoint(&mut conn, &self.context.settings.channel).await?;
        let applied = known.and_then(|known| u64::try_from(known.block_number).ok());
        if applied != self.at {
            self.forget();
        }
        Ok(())
    }

    /// Drops the block stream and the received blocks; the next step begins at the checkpoint.
    fn forget(&mut self) {
        self.block_reader = None;
        self.pending.clear();
    }

    /// Compares the chain with the checkpoint and follows it from there. Without a checkpoint,
    /// applies block 0 first.
    async fn begin(&mut self) -> Result<Progress, ProjectorError> {
        let mut conn = self.context.pool.acquire().await?;
        let known = gx_outbox::tip::checkpoint(&mut conn, &self.context.settings.channel).await?;
        drop(conn);
        self.sync_points.reach("compared").await;
        let progress = self.step_progress().clone();
        let from = match known {
            Some(known) => self.resume(&known).await?,
            None => {
                let genesis = progress.wait(self.context.ledger.genesis_block()).await?;
                let read = ReadBlock::read(&genesis, &self.context.settings);
                let (context, rng) = (&self.context, &mut self.rng);
                apply_on(context, &mut self.writer, &progress, rng, &[read]).await?;
                genesis.id()
            }
        };
        if !self.has_requested_replay {
            request_replay_of_old_releases(&self.context, from.number).await?;
            self.has_requested_replay = true;
        }
        let follower = self.context.ledger.follow(from);
        self.block_reader = Some(BlockReader::start(follower, self.context.settings.clone()));
        self.at = Some(from.number);
        Ok(Progress::Began { number: from.number })
    }

    /// Checks that our peers have block 0 and the checkpoint's block, and returns the latter. An
    /// error halts the projector if the chain is another one.
    async fn resume(&self, known: &Checkpoint) -> Result<BlockId, ProjectorError> {
        let genesis = BlockId { number: 0, hash: to_hash(&known.genesis_hash) };
        let number = u64::try_from(known.block_number).unwrap_or(0);
        let last = BlockId { number, hash: to_hash(&known.block_hash) };
        self.step_progress().wait(self.context.ledger.confirm(&[genesis, last])).await?;
        self.check_not_emptied(known).await?;
        Ok(last)
    }

    /// Halts if the read model has no event but a block up to the checkpoint has one.
    async fn check_not_emptied(&self, known: &Checkpoint) -> Result<(), ProjectorError> {
        let mut conn = self.context.pool.acquire().await?;
        let has_events = checkpoint::has_events(&mut conn, &self.context.settings.channel).await?;
        drop(conn);
        let last = u64::try_from(known.block_number).unwrap_or(0);
        if has_events || last == 0 {
            return Ok(());
        }
        let mut blocks = self.context.ledger.blocks(1);
        while let Some(block) = self.step_progress().wait(blocks.next()).await? {
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

    /// Returns whether a block has an event of our chaincode. An event that cannot be read counts
    /// as one.
    fn has_events(&self, block: &Block) -> bool {
        let ours = block.transactions.iter().filter(|one| one.code.is_valid());
        let events = ours.filter_map(|one| one.event.as_ref());
        events.filter(|event| event.chaincode_id == self.context.settings.chaincode).any(|event| {
            let batch = serde_json::from_slice::<BatchEvent>(&event.payload);
            batch.map_or(true, |batch| batch.entries.iter().any(|entry| !entry.events.is_empty()))
        })
    }
}

/// Applies blocks on the writer's connection, which is opened if there is none, and wakes the
/// submitter if commands may be due. After an error the connection is closed.
async fn apply_on(
    context: &ProjectorContext,
    writer: &mut Option<Writer>,
    progress: &StepProgress,
    rng: &mut StdRng,
    blocks: &[ReadBlock],
) -> Result<Applied, ProjectorError> {
    let mut using = match writer.take() {
        Some(writer) => writer,
        None => progress.wait(Writer::open(&context.pool, progress)).await?,
    };
    let (conn, now) = (&mut using.conn, context.clock.now());
    let applied = apply_blocks(conn, blocks, &context.settings, rng, now).await?;
    *writer = Some(using);
    if applied.transactions > 0 {
        context.waker.wake();
    }
    Ok(applied)
}

impl Writer {
    async fn open(pool: &PgPool, progress: &StepProgress) -> Result<Self, sqlx::Error> {
        let mut conn = pool.acquire().await?.detach();
        gx_db::name_session(&mut conn, "writer").await?;
        // Blocks wait while a rebuild corrects the live rows. The server ends every other session
        // that stands still while it holds a lock.
        wait_for_locks(&mut conn).await?;
        let watched = progress.watch(&mut conn).await?;
        Ok(Self { conn, _watched: watched })
    }
}

/// Returns a stored hash. A value of another length becomes zeros, which no block has.
fn to_hash(stored: &[u8]) -> [u8; 32] {
    stored.try_into().unwrap_or_default()
}
