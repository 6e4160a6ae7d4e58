//! Checks before anything is sent: the ledger must belong to this database, and the projector must
//! have reached the ledger's tip, so that a database restored from a backup has what the chain
//! contains. Called at the start of each step; it does nothing once the checks have passed, until a
//! failed call asks for a new comparison.

use gx_db::PgConnection;
use gx_fabric_client::{BlockId, PeerHeight};
use gx_outbox::tip::Checkpoint;

use super::{Progress, Submitter};
use crate::error::{Halt, SubmitterError};

/// How far the check has come.
#[derive(Debug, Default)]
pub(crate) enum ChainCheck {
    /// Nothing was checked.
    #[default]
    NotChecked,
    /// The chain was compared; the projector must reach this height first.
    ProjectorBehind {
        /// Height of the ledger when the chain was compared.
        height: u64,
    },
    /// Everything was checked before; the chain must be compared again.
    Repeat,
    /// Everything was checked.
    Passed,
}

impl ChainCheck {
    /// Makes the next step compare the chain again, because after an outage another ledger may
    /// answer at the same address.
    pub(crate) fn repeat(&mut self) {
        *self = match self {
            Self::Passed | Self::Repeat => Self::Repeat,
            Self::NotChecked | Self::ProjectorBehind { .. } => Self::NotChecked,
        };
    }
}

impl Submitter {
    /// Runs the checks that are left. Returns `None` if commands may be sent, and
    /// [`Progress::Waiting`] while the projector is behind. [`Halt`] if the ledger is another one.
    pub(crate) async fn check_chain(&mut self) -> Result<Option<Progress>, SubmitterError> {
        if matches!(self.chain_check, ChainCheck::Passed) {
            return Ok(None);
        }
        let mut conn = self.context.pool.acquire().await?;
        let checkpoint = gx_outbox::tip::checkpoint(&mut conn, &self.context.channel).await?;
        let height = match self.chain_check {
            ChainCheck::ProjectorBehind { height } => height,
            ChainCheck::NotChecked | ChainCheck::Repeat | ChainCheck::Passed => {
                self.compare_chain(&mut conn, checkpoint.as_ref()).await?;
                if matches!(self.chain_check, ChainCheck::Repeat) {
                    // Attempts that were delayed during the outage need not wait any longer.
                    gx_outbox::submitter::make_open_attempts_due(&mut conn, self.now()).await?;
                    self.chain_check = ChainCheck::Passed;
                    return Ok(None);
                }
                self.tip().await?
            }
        };
        self.chain_check = ChainCheck::ProjectorBehind { height };
        let applied = checkpoint.map_or(0, |known| {
            u64::try_from(known.block_number).map_or(0, |number| number.saturating_add(1))
        });
        if applied < height {
            return Ok(Some(Progress::Waiting { height, applied }));
        }
        self.sync_points.reach("caught up").await;
        // An earlier process with this name has ended, so its leases have ended, too.
        gx_outbox::submitter::release_owner(&mut conn, &self.settings.instance, self.now()).await?;
        // An open attempt may not have been sent. Sending it again is harmless.
        gx_outbox::submitter::make_open_attempts_due(&mut conn, self.now()).await?;
        self.chain_check = ChainCheck::Passed;
        Ok(None)
    }

    /// Checks that block 0 and the checkpoint's block are those of our peers, and that no open
    /// attempt belongs to another chain. A ledger that lost blocks and continued differently still
    /// has the same block 0.
    async fn compare_chain(
        &mut self,
        conn: &mut PgConnection,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<(), SubmitterError> {
        let genesis = match checkpoint {
            None => self.context.ledger.genesis().await?,
            Some(known) => {
                let genesis = BlockId { number: 0, hash: to_hash(&known.genesis_hash) };
                let number = u64::try_from(known.block_number).unwrap_or(0);
                let last = BlockId { number, hash: to_hash(&known.block_hash) };
                self.context.ledger.confirm(&[genesis, last]).await?;
                genesis
            }
        };
        let tx_ids = gx_outbox::submitter::foreign_attempts(conn, &genesis.hash).await?;
        if !tx_ids.is_empty() {
            let tx_ids = tx_ids.iter().map(ToString::to_string).collect();
            return Err(Halt::ForeignAttempts { tx_ids }.into());
        }
        self.genesis_hash = genesis.hash;
        Ok(())
    }

    /// Returns the greatest height of our organisation's peers.
    pub(crate) async fn tip(&self) -> Result<u64, SubmitterError> {
        Ok(PeerHeight::tip(&self.context.ledger.heights().await)?)
    }
}

/// Returns a stored hash. A value of another length becomes zeros, which no block has.
pub(crate) fn to_hash(stored: &[u8]) -> [u8; 32] {
    stored.try_into().unwrap_or_default()
}
