//! Follows the chain: delivers and verifies the blocks after a known block, through outages. The
//! projector, a rebuild and the benchmarks follow; after an error of [`Follower::next`] they start
//! again from their last block or give up.

mod disputed_blocks;
mod reader;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::block::{Block, BlockId};
use crate::chain::ChainError;
use crate::error::LedgerError;
use crate::heights::PeerHeight;
use crate::ledger::Ledger;
use disputed_blocks::watch_disputes;
use reader::{Delivered, Reader};

/// Delivers each block after a known block exactly once and in order.
///
/// A background task reads a few blocks ahead. It changes to another peer if a stream ends, fails,
/// shows a wrong chain, or does not deliver a block that another peer has. A peer that shows a
/// wrong chain is set aside. The follower ends with an error only if no peer can be right: all show
/// a wrong chain, or the others do not answer, or most contradict the last block. Dropping the
/// follower ends the task.
#[derive(Debug)]
pub struct Follower {
    blocks: mpsc::Receiver<Result<Block, ChainError>>,
    state: watch::Receiver<FollowState>,
    heights: watch::Receiver<Vec<PeerHeight>>,
    failure: Option<ChainError>,
    _tasks: JoinSet<()>,
}

/// The state of a follower.
#[derive(Clone, Debug)]
pub struct FollowState {
    /// The peer whose stream is open and which has shown the known block.
    pub peer: Option<String>,
    /// The number of the next block.
    pub next_block: u64,
    /// Why the last stream ended; `None` if it ended without an error.
    pub last_error: Option<LedgerError>,
    /// Number of streams that were opened after the first.
    pub reconnects: u64,
}

impl Ledger {
    /// Follows the chain after a known block: verifies it, and continues after outages.
    pub fn follow(&self, from: BlockId) -> Follower {
        Follower::start(self.clone(), from)
    }
}

impl Follower {
    pub(crate) fn start(ledger: Ledger, from: BlockId) -> Self {
        let (block_sender, blocks) = mpsc::channel(ledger.limits().read_ahead_blocks);
        let (state_sender, state) = watch::channel(FollowState {
            peer: None,
            next_block: from.number.saturating_add(1),
            last_error: None,
            reconnects: 0,
        });
        let (height_sender, heights) = watch::channel(Vec::new());
        let (at_sender, at) = watch::channel(from);
        let (dispute_sender, dispute) = watch::channel(None);
        let reader = Reader::new(
            ledger.clone(),
            Delivered { blocks: block_sender, at: at_sender, state: state_sender },
            heights.clone(),
            dispute,
        );
        let mut tasks = JoinSet::new();
        if ledger.trusted().len() > 1 {
            tasks.spawn(watch_disputes(ledger.clone(), at, dispute_sender));
        }
        tasks.spawn(watch_heights(ledger, height_sender));
        tasks.spawn(reader.run());
        Self { blocks, state, heights, failure: None, _tasks: tasks }
    }

    /// Waits for the next block and returns it. An error is final. If the future is dropped, no
    /// block is lost.
    pub async fn next(&mut self) -> Result<Block, ChainError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let next = self.blocks.recv().await.unwrap_or(Err(ChainError::Stopped));
        if let Err(failure) = &next {
            self.failure = Some(failure.clone());
        }
        next
    }

    /// Returns the next block, or `None` if none has arrived yet. An error is final.
    pub fn try_next(&mut self) -> Result<Option<Block>, ChainError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        match self.blocks.try_recv() {
            Ok(Ok(block)) => Ok(Some(block)),
            Err(mpsc::error::TryRecvError::Empty) => Ok(None),
            Ok(Err(failure)) => Err(self.failure.insert(failure).clone()),
            Err(mpsc::error::TryRecvError::Disconnected) => {
                Err(self.failure.insert(ChainError::Stopped).clone())
            }
        }
    }

    /// Returns a channel with the follower's state.
    pub fn state(&self) -> watch::Receiver<FollowState> {
        self.state.clone()
    }

    /// Returns a channel with the height of each peer, which is requested about once a second,
    /// independently of the stream.
    pub fn heights(&self) -> watch::Receiver<Vec<PeerHeight>> {
        self.heights.clone()
    }
}

/// Requests the heights of all peers at an interval, until all receivers are dropped.
async fn watch_heights(ledger: Ledger, heights: watch::Sender<Vec<PeerHeight>>) {
    let mut tick = tokio::time::interval(ledger.limits().height_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !heights.is_closed() {
        tick.tick().await;
        heights.send_replace(ledger.heights().await);
    }
}
