//! The copy of the read model: a connection whose statements write to the copies, and the blocks
//! from which they are made. Called by the parent module, which compares the copy with the live
//! rows.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::FutureExt as _;
use gx_db::{PgConnection, PgPool};
use gx_fabric_client::{BlockId, ChainError, Ledger};
use gx_model::Clock;
use rand::rngs::StdRng;

use super::RebuildError;
use super::store::{self, Checkpoint, lock};
use crate::apply::ApplySettings;
use crate::apply::BlockReader;
use crate::apply::adoption::assign_owners;
use crate::apply::apply_blocks;
use crate::apply::store::adoption::open_claims;
use crate::apply::{ReadBlock, stored_number};
use crate::leader::{StepProgress, WatchedSession};

/// Longest wait for a block that exists.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Limit of the blocks that are fetched before they are needed.
const BLOCKS_AHEAD: usize = 64;

/// A copy that is being made.
pub(super) struct ReadModelCopy {
    pub(super) conn: PgConnection,
    /// Name of the live schema, quoted.
    pub(super) live: String,
    pub(super) blocks: Blocks,
    _watched: WatchedSession,
}

/// The source of the blocks, and how far they are applied to the copy.
pub(super) struct Blocks {
    block_reader: BlockReader,
    settings: ApplySettings,
    clock: Clock,
    rng: StdRng,
    progress: StepProgress,
    /// Blocks that were fetched and not applied, in order.
    at_hand: VecDeque<ReadBlock>,
    /// The last block of the copy.
    applied: BlockId,
}

impl ReadModelCopy {
    /// Begins an empty copy on its own connection and applies block 0. Fails if another rebuild is
    /// running, if nothing was projected yet, or if the ledger is another one.
    pub(super) async fn begin(
        pool: &PgPool,
        ledger: &Ledger,
        settings: &ApplySettings,
        clock: &Clock,
        rng: StdRng,
        progress: &StepProgress,
    ) -> Result<Self, RebuildError> {
        let mut conn = pool.acquire().await?.detach();
        if !lock::try_begin(&mut conn, &settings.channel).await? {
            return Err(RebuildError::AlreadyRunning);
        }
        gx_db::name_session(&mut conn, "rebuild").await?;
        let watched = progress.watch(&mut conn).await?;
        let live = store::use_copies(&mut conn).await?;
        store::clear(&mut conn).await?;
        let at = store::live_checkpoint(&mut conn, &live, &settings.channel).await?;
        let at = at.ok_or(RebuildError::NothingProjected)?;
        let hash = at.genesis.as_slice().try_into().unwrap_or_default();
        let genesis = BlockId { number: 0, hash };
        progress.wait(ledger.confirm(&[genesis])).await?;
        let genesis = progress.wait(ledger.known_block(genesis)).await?;
        let block_reader = BlockReader::start(ledger.follow(genesis.id()), settings.clone());
        let (settings, clock) = (settings.clone(), clock.clone());
        let (applied, at_hand) = (genesis.id(), VecDeque::new());
        let genesis = ReadBlock::read(&genesis, &settings);
        let progress = progress.clone();
        let mut blocks = Blocks { block_reader, settings, clock, rng, progress, at_hand, applied };
        blocks.apply(&mut conn, &[genesis]).await?;
        Ok(Self { conn, live, blocks, _watched: watched })
    }
}

impl Blocks {
    /// Returns the number of the last block of the copy.
    pub(super) fn number(&self) -> i64 {
        i64::try_from(self.applied.number).unwrap_or(i64::MAX)
    }

    pub(super) fn channel(&self) -> &str {
        &self.settings.channel
    }

    pub(super) fn settings(&self) -> &ApplySettings {
        &self.settings
    }

    pub(super) fn now(&self) -> time::OffsetDateTime {
        self.clock.now()
    }

    /// Applies blocks up to a checkpoint of the live rows, which must not be before the copy, and
    /// checks that both have the same block there. This waits for blocks, so it must not run inside
    /// a transaction.
    pub(super) async fn follow(
        &mut self,
        conn: &mut PgConnection,
        live: &str,
        to: &Checkpoint,
        mut say: impl FnMut(i64),
    ) -> Result<(), RebuildError> {
        while self.last_at_hand() < to.number {
            self.fetch_more(to.number).await?;
            let next = self.last_at_hand().min(to.number);
            self.apply_to(conn, live, next).await?;
            say(self.number());
        }
        self.apply_to(conn, live, to.number).await?;
        check_hash(self.applied, &to.hash)
    }

    /// Gives people of the copy to accounts that reserved the person's id after the block was
    /// applied, since an adoption may come after the person's creation.
    pub(super) async fn settle_owners(
        &self,
        conn: &mut PgConnection,
        live: &str,
    ) -> Result<(), RebuildError> {
        store::add_profiles(conn, live).await?;
        let claims = open_claims(conn).await?;
        Ok(assign_owners(conn, &claims, self.now()).await?)
    }

    /// Applies the fetched blocks up to a checkpoint of the live rows. Waits only for the database
    /// and may run inside a transaction. Returns `false` and applies nothing if a block is missing.
    pub(super) async fn advance(
        &mut self,
        conn: &mut PgConnection,
        live: &str,
        to: &Checkpoint,
    ) -> Result<bool, RebuildError> {
        if self.last_at_hand() < to.number {
            return Ok(false);
        }
        self.apply_to(conn, live, to.number).await?;
        check_hash(self.applied, &to.hash)?;
        Ok(true)
    }

    /// Takes the blocks that have come, because the live rows will have moved on before a
    /// transaction looks at them.
    pub(super) fn fetch_ready_blocks(&mut self) -> Result<(), RebuildError> {
        while self.at_hand.len() < BLOCKS_AHEAD {
            let room = BLOCKS_AHEAD - self.at_hand.len();
            let Some(run) = self.block_reader.next_blocks(room).now_or_never() else { break };
            self.at_hand.extend(run?);
        }
        Ok(())
    }

    /// Fetches at least one block, and none after `to`. [`RebuildError::Silent`] if none comes in
    /// time.
    async fn fetch_more(&mut self, to: i64) -> Result<(), RebuildError> {
        let missing = usize::try_from(to - self.last_at_hand()).unwrap_or(usize::MAX);
        let number = u64::try_from(self.last_at_hand()).unwrap_or(0) + 1;
        let run = tokio::time::timeout(BLOCK_TIMEOUT, self.block_reader.next_blocks(missing));
        let run = self.progress.wait(run).await.map_err(|_| RebuildError::Silent { number })??;
        self.at_hand.extend(run);
        Ok(())
    }

    /// Returns the number of the last block that is applied or fetched.
    fn last_at_hand(&self) -> i64 {
        self.at_hand.back().map_or(self.number(), |block| stored_number(block.number))
    }

    /// Applies the fetched blocks up to this one.
    async fn apply_to(
        &mut self,
        conn: &mut PgConnection,
        live: &str,
        to: i64,
    ) -> Result<(), RebuildError> {
        let until = self.at_hand.partition_point(|block| stored_number(block.number) <= to);
        if until == 0 {
            return Ok(());
        }
        store::add_profiles(conn, live).await?;
        let run: Vec<ReadBlock> = self.at_hand.drain(..until).collect();
        self.apply(conn, &run).await?;
        self.progress.beat();
        Ok(())
    }

    /// Applies blocks to the copy. [`RebuildError::DeadEvent`] if one of their events cannot be
    /// applied.
    async fn apply(
        &mut self,
        conn: &mut PgConnection,
        run: &[ReadBlock],
    ) -> Result<(), RebuildError> {
        let now = self.clock.now();
        let applied = apply_blocks(conn, run, &self.settings, &mut self.rng, now).await?;
        if !applied.held.is_empty()
            && let Some(store::DeadLetter { block, name, reason }) = store::first_dead(conn).await?
        {
            return Err(RebuildError::DeadEvent { block, name, reason });
        }
        if let Some(last) = run.last() {
            self.applied = BlockId { number: last.number, hash: last.hash };
        }
        Ok(())
    }
}

/// Checks that a block of the copy has the hash that the live checkpoint has.
fn check_hash(block: BlockId, known: &[u8]) -> Result<(), RebuildError> {
    if block.hash == known {
        return Ok(());
    }
    let (number, found) = (block.number, block.hash);
    let expected = known.try_into().unwrap_or_default();
    Err(ChainError::OtherChain { number, expected, found }.into())
}
