//! Makes the read model again from block 0, in copies next to the live tables (PRJ-07, G3).
//!
//! The chain is replayed into copies of the projected tables by the same statements that write the
//! live ones. When both are at the same block, they are compared in one read-only snapshot, for
//! which no other session waits. Differences are corrected in a second transaction, which locks the
//! checkpoint, brings the copy up to it and changes only the recorded rows. Readers never wait, and
//! the live projector waits only for that transaction. A rebuild that is killed before that
//! transaction commits has changed nothing; the next one begins from block 0. Called by
//! `gx projection rebuild` and by the reconciliation for a task.

mod copy;
mod error;
mod report;
mod store;

use gx_auth::audit::{self, Actor};
use gx_db::{PgConnection, PgPool};
use gx_fabric_client::Ledger;
use gx_model::Clock;
use rand::rngs::StdRng;
use serde_json::json;
use sqlx::Connection as _;

pub use error::RebuildError;
pub use report::{RebuildReport, RowDifference, TableDifferences};

use crate::apply::ApplySettings;
use crate::leader::StepProgress;
use crate::operate::replay::{Selection, replay_dead};

use self::store::lock;
use copy::ReadModelCopy;

/// Limit of the rows that are reported and audited one by one; all are counted.
const MAX_NAMED_ROWS: i64 = 200;
/// Distance to the live rows, in blocks, from which the rest is applied inside a transaction.
const CLOSE_BLOCKS: i64 = 16;
/// Number of attempts to compare before the live projector counts as out of reach. Before each
/// attempt, the blocks that have come are fetched.
const MAX_ATTEMPTS: u32 = 100;

/// What a rebuild does with the differences.
#[derive(Clone, Copy, Debug)]
pub enum Correction<'a> {
    /// Reports them and changes nothing.
    ReportOnly,
    /// Corrects the live rows. The actor is written to the audit log.
    Apply(Actor<'a>),
}

/// Progress of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebuildProgress {
    /// Number of the last block of the copy.
    pub block_number: i64,
    /// Number of the last block of the live rows.
    pub of: i64,
}

/// Makes the read model again.
#[derive(Clone)]
pub struct Rebuilder {
    /// Connections to the read model; a rebuild takes one for itself.
    pub pool: PgPool,
    /// The ledger that delivers the blocks.
    pub ledger: Ledger,
    /// How blocks are applied.
    pub settings: ApplySettings,
    /// The clock. No projected row depends on it.
    pub clock: Clock,
}

impl Rebuilder {
    /// Replays the chain into the copy, compares it with the live rows, reports the differences,
    /// and corrects them if requested.
    ///
    /// # Errors
    /// [`RebuildError`]. The live rows are unchanged then, unless the correction was committed and
    /// emptying the copies or releasing the lock failed. An event that cannot be applied always
    /// ends a rebuild.
    pub async fn run(
        &self,
        correction: Correction<'_>,
        rng: StdRng,
        say: impl FnMut(RebuildProgress),
        found: impl FnMut(&RebuildReport),
    ) -> Result<RebuildReport, RebuildError> {
        self.run_with(&StepProgress::default(), correction, rng, say, found).await
    }

    /// Does the same as [`Self::run`] and reports progress to a leader's step.
    pub(crate) async fn run_with(
        &self,
        progress: &StepProgress,
        correction: Correction<'_>,
        rng: StdRng,
        mut say: impl FnMut(RebuildProgress),
        mut found: impl FnMut(&RebuildReport),
    ) -> Result<RebuildReport, RebuildError> {
        let (pool, ledger) = (&self.pool, &self.ledger);
        let mut copy =
            ReadModelCopy::begin(pool, ledger, &self.settings, &self.clock, rng, progress).await?;
        copy.catch_up(&mut say).await?;
        let mut report = copy.compare().await?;
        found(&report);
        if let Correction::Apply(actor) = correction
            && !report.is_equal()
        {
            copy.catch_up(&mut say).await?;
            report.replayed = copy.switch(actor, &report).await?;
            report.switched = true;
        }
        store::clear(&mut copy.conn).await?;
        lock::end(&mut copy.conn, copy.blocks.channel()).await?;
        Ok(report)
    }
}

impl ReadModelCopy {
    /// Applies blocks until the copy is near the live rows.
    async fn catch_up(
        &mut self,
        say: &mut impl FnMut(RebuildProgress),
    ) -> Result<(), RebuildError> {
        loop {
            let at = live_checkpoint(&mut self.conn, &self.live, self.blocks.channel()).await?;
            if at.number - self.blocks.number() <= CLOSE_BLOCKS {
                return Ok(());
            }
            let of = at.number;
            let say = |block_number| say(RebuildProgress { block_number, of });
            self.blocks.follow(&mut self.conn, &self.live, &at, say).await?;
        }
    }

    /// Records the rows that differ, in one snapshot in which the live rows and the copy are at the
    /// same block.
    async fn compare(&mut self) -> Result<RebuildReport, RebuildError> {
        for _ in 0..MAX_ATTEMPTS {
            self.blocks.fetch_ready_blocks()?;
            let mut tx = self.conn.begin().await?;
            store::begin_snapshot(&mut tx).await?;
            let at = live_checkpoint(&mut tx, &self.live, self.blocks.channel()).await?;
            if !self.blocks.advance(&mut tx, &self.live, &at).await? {
                tx.rollback().await?;
                self.blocks.follow(&mut self.conn, &self.live, &at, |_| {}).await?;
                continue;
            }
            self.blocks.settle_owners(&mut tx, &self.live).await?;
            store::compare(&mut tx, &self.live).await?;
            let counts = store::counts(&mut tx).await?;
            let rows = store::different_rows(&mut tx, MAX_NAMED_ROWS).await?;
            tx.commit().await?;
            return Ok(RebuildReport {
                block_number: at.number,
                differences: counts.into_iter().map(Into::into).collect(),
                rows: rows.into_iter().map(Into::into).collect(),
                ..RebuildReport::default()
            });
        }
        Err(RebuildError::Outrun { attempts: MAX_ATTEMPTS })
    }

    /// Corrects the recorded rows and returns the number of dead letters that were applied. Dead
    /// letters are replayed first, because only their events change an account's status and release
    /// commands.
    async fn switch(
        &mut self,
        actor: Actor<'_>,
        report: &RebuildReport,
    ) -> Result<u64, RebuildError> {
        let (channel, now) = (self.blocks.channel().to_owned(), self.blocks.now());
        let decode = self.blocks.settings().decode;
        for _ in 0..MAX_ATTEMPTS {
            self.blocks.fetch_ready_blocks()?;
            let mut tx = self.conn.begin().await?;
            let at = store::hold_live_checkpoint(&mut tx, &self.live, &channel).await?;
            let at = at.ok_or(RebuildError::NothingProjected)?;
            if !self.blocks.advance(&mut tx, &self.live, &at).await? {
                // The live projector continues while the blocks are fetched.
                tx.rollback().await?;
                self.blocks.follow(&mut self.conn, &self.live, &at, |_| {}).await?;
                continue;
            }
            self.blocks.settle_owners(&mut tx, &self.live).await?;
            store::use_live(&mut tx, &self.live).await?;
            let first = replay_dead(&mut tx, &channel, Selection::All, decode, now).await?;
            store::correct(&mut tx, &self.live).await?;
            let then = replay_dead(&mut tx, &channel, Selection::All, decode, now).await?;
            append_to_audit(&mut tx, actor, report, at.number, now).await?;
            tx.commit().await?;
            return Ok(first.replayed_count + then.replayed_count);
        }
        Err(RebuildError::Outrun { attempts: MAX_ATTEMPTS })
    }
}

/// Returns the checkpoint of the live rows. [`RebuildError::NothingProjected`] if there is none.
async fn live_checkpoint(
    conn: &mut PgConnection,
    live: &str,
    channel: &str,
) -> Result<store::Checkpoint, RebuildError> {
    let at = store::live_checkpoint(conn, live, channel).await?;
    at.ok_or(RebuildError::NothingProjected)
}

/// Appends one audit entry for the whole rebuild, and one for each row that is named.
async fn append_to_audit(
    conn: &mut PgConnection,
    actor: Actor<'_>,
    report: &RebuildReport,
    block_number: i64,
    now: time::OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let whole = audit::Entry {
        after: Some(json!({ "blockNumber": block_number, "differences": report.differences })),
        ..audit::Entry::new(actor, "projection.rebuilt", "Projection", None, None)
    };
    audit::append(conn, whole, now).await?;
    for row in &report.rows {
        let (action, key) = ("projection.row_repaired", row.key.to_string());
        let repaired = audit::Entry {
            before: row.here.clone(),
            after: row.rebuilt.clone(),
            ..audit::Entry::new(actor, action, &row.table, Some(&key), None)
        };
        audit::append(conn, repaired, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
