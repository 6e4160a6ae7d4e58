//! Following the chain: the blocks after a known one, verified, through outages.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::block::{Block, BlockId};
use crate::chain::{ChainError, check_follows, check_same};
use crate::deliver::{BlockStream, StreamError};
use crate::error::{LedgerError, OutcomeClass, Phase};
use crate::heights::{PeerHeight, own_tip, watch_heights};
use crate::ledger::Ledger;
use crate::peer::Peer;
use crate::telemetry::count_failure;

/// Delivers each block after a known one exactly once and in order.
///
/// A task of its own reads ahead by a few blocks. It changes peers when a stream ends,
/// fails, or withholds a block that some peer has, and it never gives up; only a chain
/// that is wrong stops it. It ends when the follower is dropped.
#[derive(Debug)]
pub struct Follower {
    blocks: mpsc::Receiver<Result<Block, ChainError>>,
    state: watch::Receiver<FollowState>,
    heights: watch::Receiver<Vec<PeerHeight>>,
    failure: Option<ChainError>,
    _tasks: JoinSet<()>,
}

/// How a follower fares.
#[derive(Clone, Debug)]
pub struct FollowState {
    /// The peer whose stream is open, once it has shown the known block.
    pub peer: Option<String>,
    /// The number of the next block to come.
    pub next_block: u64,
    /// Why the last stream ended; none for a clean end.
    pub last_error: Option<LedgerError>,
    /// How many streams have been opened after the first.
    pub reconnects: u64,
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
        let reader = Reader {
            backoff: Backoff::new(ledger.limits().backoff_first, ledger.limits().backoff_cap),
            ledger: ledger.clone(),
            at: from,
            blocks: block_sender,
            state: state_sender,
            heights: heights.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(watch_heights(ledger, height_sender));
        tasks.spawn(reader.run());
        Self { blocks, state, heights, failure: None, _tasks: tasks }
    }

    /// The next block, however long it takes. An error is for good. Dropping the future
    /// loses nothing.
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

    /// The next block if it has already arrived.
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

    /// How the stream fares, as it changes.
    pub fn state(&self) -> watch::Receiver<FollowState> {
        self.state.clone()
    }

    /// How far each peer is, asked about once a second whatever the stream does.
    pub fn heights(&self) -> watch::Receiver<Vec<PeerHeight>> {
        self.heights.clone()
    }
}

/// The task behind a [`Follower`].
struct Reader {
    ledger: Ledger,
    at: BlockId,
    blocks: mpsc::Sender<Result<Block, ChainError>>,
    state: watch::Sender<FollowState>,
    heights: watch::Receiver<Vec<PeerHeight>>,
    backoff: Backoff,
}

/// How a stream ended.
enum End {
    /// Another one may go on.
    Lost(Option<LedgerError>),
    /// The chain is wrong.
    Fatal(ChainError),
    /// Nobody takes the blocks any more.
    Unwanted,
}

impl Reader {
    async fn run(mut self) {
        let peers: Vec<Arc<Peer>> = self.ledger.trusted().to_vec();
        for peer in peers.iter().cycle() {
            let started_at = self.at;
            let error = match self.read_from(peer).await {
                End::Lost(error) => error,
                End::Fatal(failure) => {
                    tracing::error!(peer = peer.endpoint(), error = %failure, "the chain is wrong");
                    self.state.send_modify(|state| state.peer = None);
                    // A receiver that is gone does not want to know.
                    let _ = self.blocks.send(Err(failure)).await;
                    return;
                }
                End::Unwanted => return,
            };
            if self.at != started_at {
                self.backoff.reset();
            }
            if let Some(error) = &error {
                count_failure(error);
            }
            let pause = self.ledger.with_rng(|rng| self.backoff.next(rng));
            match &error {
                Some(error) => tracing::warn!(
                    peer = peer.endpoint(), block = self.at.number, error = %error,
                    phase = error.phase.name(), class = error.kind(), pause_ms = pause.as_millis(), "lost the block stream"
                ),
                None => tracing::info!(
                    peer = peer.endpoint(),
                    block = self.at.number,
                    pause_ms = pause.as_millis(),
                    "the block stream ended"
                ),
            }
            self.state.send_modify(|state| {
                state.peer = None;
                state.last_error = error;
                state.reconnects = state.reconnects.saturating_add(1);
            });
            tokio::time::sleep(pause).await;
        }
    }

    async fn read_from(&mut self, peer: &Peer) -> End {
        // The known block is asked for again: its hash shows that this is the same chain.
        let mut stream = self.ledger.open(peer, self.at.number);
        let known = self.at;
        match self.receive(&mut stream, peer, known.number).await {
            ControlFlow::Continue(block) => {
                if let Err(failure) = check_same(known, &block) {
                    return End::Fatal(failure);
                }
            }
            ControlFlow::Break(end) => return end,
        }
        tracing::info!(peer = peer.endpoint(), block = known.number, "following the chain");
        self.state.send_modify(|state| {
            state.peer = Some(peer.endpoint().to_owned());
            state.last_error = None;
        });
        loop {
            let due = self.at.number.saturating_add(1);
            let block = match self.receive(&mut stream, peer, due).await {
                ControlFlow::Continue(block) => block,
                ControlFlow::Break(end) => return end,
            };
            if let Err(failure) = check_follows(self.at, &block) {
                return End::Fatal(failure);
            }
            let id = block.id();
            if self.blocks.send(Ok(block)).await.is_err() {
                return End::Unwanted;
            }
            self.at = id;
            self.state.send_modify(|state| state.next_block = id.number.saturating_add(1));
        }
    }

    /// Waits for block `due`, but not on a peer that withholds what another has.
    async fn receive(
        &mut self,
        stream: &mut BlockStream,
        peer: &Peer,
        due: u64,
    ) -> ControlFlow<End, Block> {
        let mut silent_at: Option<Instant> = None;
        loop {
            let exists = own_tip(&self.heights.borrow_and_update()).is_some_and(|tip| tip > due);
            if exists && silent_at.is_none() {
                silent_at = Some(Instant::now() + self.ledger.limits().silence_deadline);
            }
            let silence = async {
                match silent_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                next = stream.next() => return match next {
                    Ok(Some(block)) => ControlFlow::Continue(block),
                    Ok(None) => ControlFlow::Break(End::Lost(None)),
                    Err(StreamError::Ledger(error)) => ControlFlow::Break(End::Lost(Some(error))),
                    Err(StreamError::Chain(failure)) => ControlFlow::Break(End::Fatal(failure)),
                },
                () = self.blocks.closed() => return ControlFlow::Break(End::Unwanted),
                () = silence => {
                    peer.renew();
                    let reason = format!("the stream is silent although block {due} exists");
                    let error = LedgerError::local(Phase::Stream, OutcomeClass::Unavailable, reason);
                    return ControlFlow::Break(End::Lost(Some(error.at(peer.endpoint()))));
                }
                // The sender lives as long as the follower.
                _ = self.heights.changed() => {}
            }
        }
    }
}
