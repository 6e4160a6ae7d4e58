//! Receives and reads blocks ahead of the database, up to a limit of memory. The projector and a
//! rebuild each start a reader. An error is final: the projector starts another one then, and a
//! rebuild ends.

use std::sync::Arc;

use gx_fabric_client::{Block, ChainError, FollowState, Follower, PeerHeight};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::read::ReadBlock;
use super::settings::ApplySettings;

/// Limit of the blocks that were read and not applied, in KiB of their encoded size.
const BUFFER_KIB: u32 = 8 * 1024;
/// Limit of the blocks that are returned at once, in KiB of their encoded size. A larger block is
/// returned alone.
const MAX_BLOCKS_KIB: u32 = 8 * 1024;

/// Reads the blocks of a follower in its own task, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct BlockReader {
    blocks: mpsc::UnboundedReceiver<Result<Waiting, ChainError>>,
    /// A block that was received and did not fit into the last result.
    next: Option<Waiting>,
    /// The error that ended the stream.
    failure: Option<ChainError>,
    state: watch::Receiver<FollowState>,
    heights: watch::Receiver<Vec<PeerHeight>>,
    _task: JoinSet<()>,
}

/// A block with its share of the buffer.
#[derive(Debug)]
struct Waiting {
    block: ReadBlock,
    kib: u32,
    _buffer: OwnedSemaphorePermit,
}

impl BlockReader {
    /// Starts the task that reads the follower's blocks.
    pub(crate) fn start(follower: Follower, settings: ApplySettings) -> Self {
        let (sender, blocks) = mpsc::unbounded_channel();
        let (state, heights) = (follower.state(), follower.heights());
        let mut task = JoinSet::new();
        task.spawn(read_ahead(follower, settings, sender));
        Self { blocks, next: None, failure: None, state, heights, _task: task }
    }

    /// Waits for a block and returns all consecutive blocks that have come, at most `max_blocks`. A
    /// block that halts the projector is returned alone. An error is final: each later call returns
    /// it again. Dropping the future loses no block.
    pub(crate) async fn next_blocks(
        &mut self,
        max_blocks: usize,
    ) -> Result<Vec<ReadBlock>, ChainError> {
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
            let too_much =
                kib.saturating_add(waiting.kib) > MAX_BLOCKS_KIB || run.len() >= max_blocks;
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

    /// Returns the state of the block stream.
    pub(crate) fn state(&self) -> FollowState {
        self.state.borrow().clone()
    }

    /// Returns the height that our organisation's peers last reported, if they did.
    pub(crate) fn height(&self) -> Option<u64> {
        let heights = self.heights.borrow();
        // An empty list means that no peer has answered yet.
        if heights.is_empty() { None } else { PeerHeight::tip(&heights).ok() }
    }
}

/// Reads blocks until the follower fails or the reader is dropped, and sends them and the error.
async fn read_ahead(
    mut follower: Follower,
    settings: ApplySettings,
    sender: mpsc::UnboundedSender<Result<Waiting, ChainError>>,
) {
    let buffer = Arc::new(Semaphore::new(usize::try_from(BUFFER_KIB).expect("it is small")));
    loop {
        let received = match follower.next().await {
            Ok(block) => wait_for_buffer(block, &settings, &buffer).await,
            Err(failure) => Err(failure),
        };
        let ended = received.is_err();
        // If the receiver is gone, nobody needs the block.
        if sender.send(received).is_err() || ended {
            return;
        }
    }
}

/// Waits until the buffer has room for a block, and reads it. [`ChainError::Stopped`] means that
/// this process is stopping.
async fn wait_for_buffer(
    block: Block,
    settings: &ApplySettings,
    buffer: &Arc<Semaphore>,
) -> Result<Waiting, ChainError> {
    let kib = u32::try_from(block.bytes / 1024).unwrap_or(u32::MAX).saturating_add(1);
    let permits = buffer.clone().acquire_many_owned(kib.min(BUFFER_KIB)).await;
    let permits = permits.map_err(|_closed| ChainError::Stopped)?;
    let settings = settings.clone();
    // Reading a large block takes a while and must not block the other work of this thread.
    let read = tokio::task::spawn_blocking(move || ReadBlock::read(&block, &settings));
    let block = read.await.map_err(|_cancelled| ChainError::Stopped)?;
    Ok(Waiting { block, kib, _buffer: permits })
}
