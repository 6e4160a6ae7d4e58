//! The copy of the read model: a connection whose statements write to it, and the blocks that
//! it is made from.

use std::time::Duration;

use gx_db::{PgConnection, PgPool};
use gx_fabric_client::{BlockId, ChainError, Ledger};
use gx_model::Clock;
use rand::rngs::StdRng;

use super::RebuildError;
use crate::block::{Rules, apply_blocks};
use crate::intake::Intake;
use crate::read::ReadBlock;
use crate::store::rebuild::{self as store, At};

/// The longest wait for a block that exists.
const BLOCK_PATIENCE: Duration = Duration::from_secs(30);

/// A copy under way.
pub(super) struct Copy {
    pub(super) conn: PgConnection,
    /// The live schema, quoted.
    pub(super) live: String,
    pub(super) blocks: Blocks,
}

/// Where blocks come from, and how far they were applied to the copy.
pub(super) struct Blocks {
    intake: Intake,
    rules: Rules,
    clock: Clock,
    rng: StdRng,
    /// The last block of the copy.
    applied: BlockId,
}

impl Copy {
    /// An empty copy with block 0, on a connection of its own.
    pub(super) async fn begin(
        pool: &PgPool,
        ledger: &Ledger,
        rules: &Rules,
        clock: &Clock,
        rng: StdRng,
    ) -> Result<Self, RebuildError> {
        let mut conn = pool.acquire().await?.detach();
        if !store::try_begin(&mut conn, &rules.channel).await? {
            return Err(RebuildError::AlreadyRunning);
        }
        let live = store::turn_to_copies(&mut conn).await?;
        store::clear(&mut conn).await?;
        let at = store::live_checkpoint(&mut conn, &live, &rules.channel, false).await?;
        let at = at.ok_or(RebuildError::NothingProjected)?;
        let genesis = ledger.block(0).await?;
        check_hash(genesis.id(), &at.genesis)?;
        let intake = Intake::start(ledger.follow(genesis.id()), rules.clone());
        let (rules, clock) = (rules.clone(), clock.clone());
        let mut blocks = Blocks { intake, rules, clock, rng, applied: genesis.id() };
        let genesis = ReadBlock::read(&genesis, &blocks.rules);
        blocks.apply(&mut conn, &[genesis]).await?;
        Ok(Self { conn, live, blocks })
    }
}

impl Blocks {
    /// Its number.
    pub(super) fn number(&self) -> i64 {
        i64::try_from(self.applied.number).unwrap_or(i64::MAX)
    }

    pub(super) fn channel(&self) -> &str {
        &self.rules.channel
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn now(&self) -> time::OffsetDateTime {
        self.clock.now()
    }

    /// Brings the copy to a checkpoint of the live rows, which is ahead of it or equal, and
    /// makes sure that both rest on the same block.
    pub(super) async fn advance(
        &mut self,
        conn: &mut PgConnection,
        live: &str,
        to: &At,
        mut say: impl FnMut(i64),
    ) -> Result<(), RebuildError> {
        if self.number() < to.number {
            store::add_profiles(conn, live).await?;
        }
        while self.number() < to.number {
            let missing = usize::try_from(to.number - self.number()).unwrap_or(usize::MAX);
            let run = tokio::time::timeout(BLOCK_PATIENCE, self.intake.run(missing)).await;
            let run =
                run.map_err(|_| RebuildError::Silent { number: self.applied.number + 1 })??;
            self.apply(conn, &run).await?;
            say(self.number());
        }
        check_hash(self.applied, &to.hash)
    }

    async fn apply(
        &mut self,
        conn: &mut PgConnection,
        run: &[ReadBlock],
    ) -> Result<(), RebuildError> {
        let now = self.clock.now();
        let applied = apply_blocks(conn, run, &self.rules, &mut self.rng, now).await?;
        if !applied.held.is_empty()
            && let Some(store::Dead { block, name, reason }) = store::first_dead(conn).await?
        {
            return Err(RebuildError::DeadEvent { block, name, reason });
        }
        if let Some(last) = run.last() {
            self.applied = BlockId { number: last.number, hash: last.hash };
        }
        Ok(())
    }
}

fn check_hash(block: BlockId, known: &[u8]) -> Result<(), RebuildError> {
    if block.hash == known {
        return Ok(());
    }
    let (number, found) = (block.number, block.hash);
    let expected = known.try_into().unwrap_or_default();
    Err(ChainError::OtherChain { number, expected, found }.into())
}
