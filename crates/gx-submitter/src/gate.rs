//! Before anything is sent: the ledger is the one of this database, and the projector has
//! reached its tip, so that a database restored from a backup knows what the chain holds.

use gx_db::PgConnection;
use gx_fabric_client::{BlockId, ChainError, PeerHeight};
use gx_outbox::Checkpoint;

use crate::error::{Halt, SubmitterError};
use crate::submitter::{Progress, Submitter};

/// What was seen to be in order.
#[derive(Debug, Default)]
pub(crate) enum Gate {
    /// Nothing yet.
    #[default]
    Closed,
    /// The projector must reach this height first.
    Behind {
        /// Height of the ledger at the start.
        height: u64,
    },
    /// Everything; the genesis block is to be compared again.
    Recheck,
    /// Everything.
    Open,
}

impl Gate {
    /// After an outage another ledger may answer at the same address.
    pub(crate) fn recheck(&mut self) {
        *self = match self {
            Self::Open | Self::Recheck => Self::Recheck,
            Self::Closed | Self::Behind { .. } => Self::Closed,
        };
    }
}

impl Submitter {
    /// `None` when commands may be sent.
    pub(crate) async fn pass_gate(&mut self) -> Result<Option<Progress>, SubmitterError> {
        if matches!(self.gate, Gate::Open) {
            return Ok(None);
        }
        let mut conn = self.parts.pool.acquire().await?;
        let checkpoint = gx_outbox::checkpoint(&mut conn, &self.parts.channel).await?;
        let height = match self.gate {
            Gate::Behind { height } => height,
            Gate::Closed | Gate::Recheck | Gate::Open => {
                self.compare_chain(&mut conn, checkpoint.as_ref()).await?;
                if matches!(self.gate, Gate::Recheck) {
                    // What was put off during the outage need not wait any longer.
                    gx_outbox::hasten_open(&mut conn, self.now()).await?;
                    self.gate = Gate::Open;
                    return Ok(None);
                }
                self.tip().await?
            }
        };
        self.gate = Gate::Behind { height };
        let applied = checkpoint.map_or(0, |known| {
            u64::try_from(known.block_number).map_or(0, |number| number.saturating_add(1))
        });
        if applied < height {
            return Ok(Some(Progress::Waiting { height, applied }));
        }
        self.probe.at("caught up").await;
        // An earlier life under this name has ended, so its leases have too.
        gx_outbox::release_owner(&mut conn, &self.settings.instance, self.now()).await?;
        // Nobody knows whether what is open was sent. Sending it again is harmless.
        gx_outbox::hasten_open(&mut conn, self.now()).await?;
        self.gate = Gate::Open;
        Ok(None)
    }

    /// The genesis block and the checkpoint's block are those of this database, and so is
    /// what is under way. A ledger that lost blocks and went on has the same genesis block.
    async fn compare_chain(
        &mut self,
        conn: &mut PgConnection,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<(), SubmitterError> {
        let genesis = self.parts.ledger.genesis().await?;
        if let Some(known) = checkpoint {
            check_same(&known.genesis_hash, genesis)?;
            let number = u64::try_from(known.block_number).unwrap_or(0);
            check_same(&known.block_hash, self.parts.ledger.block(number).await?.id())?;
        }
        let tx_ids = gx_outbox::foreign_attempts(conn, &genesis.hash).await?;
        if !tx_ids.is_empty() {
            return Err(Halt::ForeignAttempts { tx_ids }.into());
        }
        self.genesis_hash = genesis.hash;
        Ok(())
    }

    /// The greatest height that a peer of our organisation names.
    pub(crate) async fn tip(&self) -> Result<u64, SubmitterError> {
        Ok(PeerHeight::tip(&self.parts.ledger.heights().await)?)
    }
}

fn check_same(known: &[u8], BlockId { number, hash: found }: BlockId) -> Result<(), Halt> {
    if known == found {
        return Ok(());
    }
    let expected = known.try_into().unwrap_or_default();
    Err(ChainError::OtherChain { number, expected, found }.into())
}
