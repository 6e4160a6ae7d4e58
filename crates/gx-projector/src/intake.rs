//! Blocks on their way to the database: received and read ahead, as far as there is room.

use std::sync::Arc;

use gx_fabric_client::{Block, ChainError, FollowState, Follower, PeerHeight};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::block::Rules;
use crate::read::ReadBlock;

/// Room for blocks that were read and not taken, in KiB of their encoded size.
const ROOM_KIB: u32 = 8 * 1024;
/// Blocks taken at once, in KiB of their encoded size; one that is larger comes alone.
const RUN_KIB: u32 = 8 * 1024;

/// Reads what a follower receives, in a task of its own that ends with this.
#[derive(Debug)]
pub(crate) struct Intake {
    blocks: mpsc::UnboundedReceiver<Result<Waiting, ChainError>>,
    /// Received, and not part of the last run.
    next: Option<Waiting>,
    failure: Option<ChainError>,
    state: watch::Receiver<FollowState>,
    heights: watch::Receiver<Vec<PeerHeight>>,
    _task: JoinSet<()>,
}

/// A block and the room that it takes.
#[derive(Debug)]
struct Waiting {
    block: ReadBlock,
    kib: u32,
    _room: OwnedSemaphorePermit,
}

impl Intake {
    pub(crate) fn start(follower: Follower, rules: Rules) -> Self {
        let (sender, blocks) = mpsc::unbounded_channel();
        let (state, heights) = (follower.state(), follower.heights());
        let mut task = JoinSet::new();
        task.spawn(read_ahead(follower, rules, sender));
        Self { blocks, next: None, failure: None, state, heights, _task: task }
    }

    /// The next blocks: all that have come and fit into one run of at most `max_blocks`, as
    /// soon as there is one. A block that stops the projector comes alone. An error is for
    /// good. Dropping the future loses nothing.
    pub(crate) async fn run(&mut self, max_blocks: usize) -> Result<Vec<ReadBlock>, ChainError> {
        if self.next.is_none() {
            if let Some(failure) = &self.failure {
                return Err(failure.clone());
            }
            match self.blocks.recv().await.unwrap_or(Err(ChainError::Stopped)) {
                Ok(waiting) => self.next = Some(waiting),
                Err(failure) => return Err(self.failure.insert(failure).clone()),
            }
        }
        let (mut run, mut kib) = (Vec::new(), 0_u32);
        while let Some(waiting) = self.next.take() {
            let stops = waiting.block.transactions.is_err();
            let too_much = kib.saturating_add(waiting.kib) > RUN_KIB || run.len() >= max_blocks;
            if !run.is_empty() && (stops || too_much) {
                self.next = Some(waiting);
                break;
            }
            kib = kib.saturating_add(waiting.kib);
            run.push(waiting.block);
            if stops {
                break;
            }
            match self.blocks.try_recv() {
                Ok(Ok(waiting)) => self.next = Some(waiting),
                Ok(Err(failure)) => self.failure = Some(failure),
                Err(_nothing) => {}
            }
        }
        Ok(run)
    }

    /// How the stream fares.
    pub(crate) fn state(&self) -> FollowState {
        self.state.borrow().clone()
    }

    /// The height that our organisation's peers named last, if they did.
    pub(crate) fn height(&self) -> Option<u64> {
        let heights = self.heights.borrow();
        // Nobody has answered yet where there are none.
        if heights.is_empty() { None } else { PeerHeight::tip(&heights).ok() }
    }
}

async fn read_ahead(
    mut follower: Follower,
    rules: Rules,
    sender: mpsc::UnboundedSender<Result<Waiting, ChainError>>,
) {
    let room = Arc::new(Semaphore::new(usize::try_from(ROOM_KIB).expect("it is small")));
    loop {
        let received = match follower.next().await {
            Ok(block) => wait_for_room(block, &rules, &room).await,
            Err(failure) => Err(failure),
        };
        let ended = received.is_err();
        // A receiver that is gone does not want to know.
        if sender.send(received).is_err() || ended {
            return;
        }
    }
}

async fn wait_for_room(
    block: Block,
    rules: &Rules,
    room: &Arc<Semaphore>,
) -> Result<Waiting, ChainError> {
    let kib = u32::try_from(block.bytes / 1024).unwrap_or(u32::MAX).saturating_add(1);
    let permits = room.clone().acquire_many_owned(kib.min(ROOM_KIB)).await;
    let permits = permits.map_err(|_closed| ChainError::Stopped)?;
    let rules = rules.clone();
    // A large block takes a while: whatever else this thread would do need not wait.
    let read = tokio::task::spawn_blocking(move || ReadBlock::read(&block, &rules));
    let block = read.await.map_err(|_cancelled| ChainError::Stopped)?;
    Ok(Waiting { block, kib, _room: permits })
}
