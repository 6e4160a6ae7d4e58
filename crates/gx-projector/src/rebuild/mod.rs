//! Making the read model anew from block 0, beside the live one (PRJ-07, G3).
//!
//! The chain is replayed into copies of the projected tables by the statements that project it
//! live. Where both stand at the same block, they are compared in one transaction that sees
//! one moment; nobody waits for that. What differs is put right in a second transaction: it
//! holds the checkpoint, brings the copy up to it, and changes the noted rows alone. Readers
//! never wait; the live projector waits for that transaction only. A rebuild that is killed
//! has changed nothing, and the next one begins anew.

mod copy;
mod error;
mod report;

use gx_auth::audit::{self, Actor};
use gx_db::{PgConnection, PgPool};
use gx_fabric_client::Ledger;
use gx_model::Clock;
use rand::rngs::StdRng;
use serde_json::json;
use sqlx::Connection as _;

pub use error::RebuildError;
pub use report::{RebuildReport, RowDifference, TableDifferences};

use crate::block::Rules;
use crate::replay::{Selection, replay_dead};
use crate::store::rebuild as store;
use copy::Copy;

/// Rows that are reported, and audited one by one; all others are counted.
const ROWS_NAMED: i64 = 200;
/// A copy that is no more blocks behind goes on inside a transaction.
const CLOSE_BLOCKS: i64 = 16;

/// What to do with the differences.
#[derive(Clone, Copy, Debug)]
pub enum Switch<'a> {
    /// Only report them.
    Never,
    /// Put them right, in the name of whoever wants it.
    By(Actor<'a>),
}

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebuildProgress {
    /// The last block of the copy.
    pub block_number: i64,
    /// The last block of the live rows.
    pub of: i64,
}

/// Makes the read model anew.
#[derive(Clone)]
pub struct Rebuilder {
    /// Connections to the read model; a rebuild takes one for itself.
    pub pool: PgPool,
    /// Where the blocks come from.
    pub ledger: Ledger,
    /// How blocks are applied.
    pub rules: Rules,
    /// What time it is; no projected row depends on it.
    pub clock: Clock,
}

impl Rebuilder {
    /// Replays the chain into the copy, compares, reports, and puts right what differs if that
    /// is wanted.
    ///
    /// # Errors
    /// [`RebuildError`]: nothing was changed. Above all, an event that cannot be applied ends
    /// a rebuild.
    pub async fn run(
        &self,
        switch: Switch<'_>,
        rng: StdRng,
        mut say: impl FnMut(RebuildProgress),
        mut found: impl FnMut(&RebuildReport),
    ) -> Result<RebuildReport, RebuildError> {
        let (pool, ledger) = (&self.pool, &self.ledger);
        let mut copy = Copy::begin(pool, ledger, &self.rules, &self.clock, rng).await?;
        copy.come_close(&mut say).await?;
        let mut report = copy.compare().await?;
        found(&report);
        if let Switch::By(actor) = switch
            && !report.is_equal()
        {
            copy.come_close(&mut say).await?;
            report.replayed = copy.switch(actor, &report).await?;
            report.switched = true;
        }
        store::clear(&mut copy.conn).await?;
        Ok(report)
    }
}

impl Copy {
    /// Applies blocks until the copy is nearly where the live rows are.
    async fn come_close(
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
            self.blocks.advance(&mut self.conn, &self.live, &at, say).await?;
        }
    }

    /// Notes what differs, as of one moment of the live rows and the copy at the same block.
    async fn compare(&mut self) -> Result<RebuildReport, RebuildError> {
        let mut tx = self.conn.begin().await?;
        store::hold_moment(&mut tx).await?;
        let at = live_checkpoint(&mut tx, &self.live, self.blocks.channel()).await?;
        self.blocks.advance(&mut tx, &self.live, &at, |_| {}).await?;
        store::compare(&mut tx, &self.live).await?;
        let counts = store::counts(&mut tx).await?;
        let rows = store::different_rows(&mut tx, ROWS_NAMED).await?;
        tx.commit().await?;
        Ok(RebuildReport {
            block_number: at.number,
            differences: counts.into_iter().map(Into::into).collect(),
            rows: rows.into_iter().map(Into::into).collect(),
            ..RebuildReport::default()
        })
    }

    /// Puts the noted rows right; how many dead letters were applied on the way. They come
    /// first, because only their events move an account's status and free commands.
    async fn switch(
        &mut self,
        actor: Actor<'_>,
        report: &RebuildReport,
    ) -> Result<usize, RebuildError> {
        let (channel, now) = (self.blocks.channel().to_owned(), self.blocks.now());
        let decode = self.blocks.rules().decode;
        let mut tx = self.conn.begin().await?;
        let at = store::live_checkpoint(&mut tx, &self.live, &channel, true).await?;
        let at = at.ok_or(RebuildError::NothingProjected)?;
        self.blocks.advance(&mut tx, &self.live, &at, |_| {}).await?;
        store::turn_to_live(&mut tx, &self.live).await?;
        let first = replay_dead(&mut tx, &channel, Selection::All, decode, now).await?;
        store::put_right(&mut tx, &self.live).await?;
        let then = replay_dead(&mut tx, &channel, Selection::All, decode, now).await?;
        append_to_audit(&mut tx, actor, report, at.number, now).await?;
        tx.commit().await?;
        Ok(first.replayed.len() + then.replayed.len())
    }
}

async fn live_checkpoint(
    conn: &mut PgConnection,
    live: &str,
    channel: &str,
) -> Result<store::At, RebuildError> {
    let at = store::live_checkpoint(conn, live, channel, false).await?;
    at.ok_or(RebuildError::NothingProjected)
}

/// One row for the whole, and one for each row that was named.
async fn append_to_audit(
    conn: &mut PgConnection,
    actor: Actor<'_>,
    report: &RebuildReport,
    block_number: i64,
    now: time::OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let whole = audit::Entry {
        actor,
        action: "projection.rebuilt",
        target_type: "Projection",
        target_id: None,
        before: None,
        after: Some(json!({ "blockNumber": block_number, "differences": report.differences })),
        request_id: None,
    };
    audit::append(conn, whole, now).await?;
    for row in &report.rows {
        let repaired = audit::Entry {
            actor,
            action: "projection.row_repaired",
            target_type: &row.table,
            target_id: Some(&row.key.to_string()),
            before: row.here.clone(),
            after: row.rebuilt.clone(),
            request_id: None,
        };
        audit::append(conn, repaired, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
