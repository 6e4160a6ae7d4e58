//! The background task of a follower: reads blocks from one peer after the other. Started by
//! `Follower::start`.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::FollowState;
use crate::backoff::Backoff;
use crate::block::{Block, BlockId};
use crate::block::{check_follows, check_same};
use crate::chain::ChainError;
use crate::deliver::{BlockStream, StreamError};
use crate::error::{LedgerError, Phase};
use crate::heights::{PeerHeight, own_tip};
use crate::ledger::Ledger;
use crate::outcome_class::OutcomeClass;
use crate::peer::Peer;
use crate::telemetry::count_failure;

/// The channels from a reader to its follower.
pub(super) struct Delivered {
    pub(super) blocks: mpsc::Sender<Result<Block, ChainError>>,
    /// The last block that was delivered, or the block after which following began.
    pub(super) at: watch::Sender<BlockId>,
    pub(super) state: watch::Sender<FollowState>,
}

/// The task's channels to its follower, and what the peers have done so far.
pub(super) struct Reader {
    ledger: Ledger,
    to: Delivered,
    heights: watch::Receiver<Vec<PeerHeight>>,
    /// Set if most of our peers contradict a block that was delivered.
    dispute: watch::Receiver<Option<ChainError>>,
    backoff: Backoff,
    /// The index of the peer with which the search for the next one begins.
    next_peer: usize,
    /// For each peer, why it has not served since a peer served last.
    silent: Vec<Option<LedgerError>>,
}

/// Why a stream ended.
enum StreamEnd {
    /// Another stream can continue.
    Lost(Option<LedgerError>),
    /// The peer's chain is wrong; the number is that of the expected block.
    Wrong(ChainError, u64),
    /// No peer may be followed.
    Disputed(ChainError),
    /// The follower was dropped.
    Unwanted,
}

impl Reader {
    pub(super) fn new(
        ledger: Ledger,
        to: Delivered,
        heights: watch::Receiver<Vec<PeerHeight>>,
        dispute: watch::Receiver<Option<ChainError>>,
    ) -> Self {
        let limits = ledger.limits();
        Self {
            backoff: Backoff::new(limits.backoff_first, limits.backoff_cap),
            next_peer: 0,
            silent: vec![None; ledger.trusted().len()],
            ledger,
            to,
            heights,
            dispute,
        }
    }

    /// Reads until the follower is dropped or no peer can be followed. In the second case the
    /// follower gets the error as its last item.
    pub(super) async fn run(mut self) {
        let peers: Vec<Arc<Peer>> = self.ledger.trusted().to_vec();
        loop {
            let Some(index) = self.choose(&peers) else {
                let silent = self.silent.iter_mut().filter_map(Option::take).collect();
                // If no chain is wrong, all peers are only away, and they are tried again.
                if peers.iter().any(|peer| peer.wrong_chain().is_some())
                    && let StreamError::Chain(failure) = self.ledger.nobody_serves(silent)
                {
                    return self.fail(failure).await;
                }
                continue;
            };
            self.next_peer = (index + 1) % peers.len();
            let (peer, started_at) = (&peers[index], self.at());
            match self.read_from(peer).await {
                StreamEnd::Lost(error) => {
                    if self.at() != started_at {
                        self.backoff.reset();
                    }
                    let served = self.to.state.borrow().peer.is_some();
                    match served {
                        true => self.silent.fill(None),
                        false => self.silent[index] = Some(why_silent(peer, error.as_ref())),
                    }
                    self.pause_after(peer, error).await;
                }
                StreamEnd::Wrong(wrong, number) => {
                    if let Err(failure) = self.reject(peer, wrong, number).await {
                        return self.fail(failure).await;
                    }
                }
                StreamEnd::Disputed(failure) => return self.fail(failure).await,
                StreamEnd::Unwanted => return,
            }
        }
    }

    fn at(&self) -> BlockId {
        *self.to.at.borrow()
    }

    /// Returns the next peer that has not failed in this round: first one without a wrong chain,
    /// then one whose time aside is over. `None` ends the round.
    fn choose(&self, peers: &[Arc<Peer>]) -> Option<usize> {
        let order = (0..peers.len()).map(|step| (self.next_peer + step) % peers.len());
        let mut left = order.filter(|index| self.silent[*index].is_none());
        let right = left.clone().find(|index| peers[*index].wrong_chain().is_none());
        right.or_else(|| left.find(|index| peers[*index].may_be_asked()))
    }

    /// Sets a peer aside. If it contradicts the last block, asks all our peers, because it may be
    /// right. The error ends the follower.
    async fn reject(
        &mut self,
        peer: &Peer,
        wrong: ChainError,
        number: u64,
    ) -> Result<(), ChainError> {
        peer.set_aside(&wrong, number);
        let reason = format!("the peer shows a wrong chain: {wrong}");
        let error = LedgerError::local(Phase::Stream, OutcomeClass::Unavailable, reason);
        self.disconnected(Some(error.at(peer.endpoint())));
        if !wrong.contradicts() {
            return Ok(());
        }
        match self.ledger.confirm(&[self.at()]).await {
            Err(StreamError::Chain(failure)) => Err(failure),
            Ok(()) | Err(StreamError::Ledger(_)) => Ok(()),
        }
    }

    /// Ends the follower with an error, which its receiver logs.
    async fn fail(self, failure: ChainError) {
        self.to.state.send_modify(|state| state.peer = None);
        // The receiver may already be dropped.
        let _ = self.to.blocks.send(Err(failure)).await;
    }

    /// Shows in the follower's state that no stream is open.
    fn disconnected(&self, error: Option<LedgerError>) {
        self.to.state.send_modify(|state| {
            state.peer = None;
            state.last_error = error;
            state.reconnects = state.reconnects.saturating_add(1);
        });
    }

    /// Reports a stream that was lost, and pauses before the next one.
    async fn pause_after(&mut self, peer: &Peer, error: Option<LedgerError>) {
        if let Some(error) = &error {
            count_failure(error);
        }
        let (pause, block) = (self.ledger.with_rng(|rng| self.backoff.next(rng)), self.at().number);
        match &error {
            Some(error) => tracing::warn!(
                peer = peer.endpoint(), block, error = %error, phase = error.phase.name(),
                class = error.kind(), pause_ms = pause.as_millis(),
                "lost the block stream of {} after block {block}", peer.endpoint()
            ),
            None => tracing::info!(
                peer = peer.endpoint(),
                block,
                pause_ms = pause.as_millis(),
                "the block stream of {} ended after block {block}",
                peer.endpoint()
            ),
        }
        self.disconnected(error);
        tokio::time::sleep(pause).await;
    }

    /// Delivers the blocks of one peer until its stream ends.
    async fn read_from(&mut self, peer: &Peer) -> StreamEnd {
        // The known block is requested again: its hash shows that this is the same chain.
        let known = self.at();
        let mut stream = self.ledger.open(peer, known.number);
        match self.receive(&mut stream, peer, known.number).await {
            ControlFlow::Continue(block) => {
                if let Err(wrong) = check_same(known, &block) {
                    return StreamEnd::Wrong(wrong, known.number);
                }
            }
            ControlFlow::Break(end) => return end,
        }
        peer.showed_right(known.number);
        tracing::info!(
            peer = peer.endpoint(),
            block = known.number,
            "following the chain at {} from block {}",
            peer.endpoint(),
            known.number
        );
        self.to.state.send_modify(|state| {
            state.peer = Some(peer.endpoint().to_owned());
            state.last_error = None;
        });
        loop {
            let before = self.at();
            let due = before.number.saturating_add(1);
            let block = match self.receive(&mut stream, peer, due).await {
                ControlFlow::Continue(block) => block,
                ControlFlow::Break(end) => return end,
            };
            if let Err(wrong) = check_follows(before, &block) {
                return StreamEnd::Wrong(wrong, due);
            }
            peer.showed_right(due);
            let id = block.id();
            if self.to.blocks.send(Ok(block)).await.is_err() {
                return StreamEnd::Unwanted;
            }
            self.to.at.send_replace(id);
            self.to.state.send_modify(|state| state.next_block = id.number.saturating_add(1));
        }
    }

    /// Waits for block `due`, but not for long if another peer already has it. Breaks with the end
    /// of the stream. The caller checks the block.
    async fn receive(
        &mut self,
        stream: &mut BlockStream,
        peer: &Peer,
        due: u64,
    ) -> ControlFlow<StreamEnd, Block> {
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
                // With only one peer of ours there is no task that sends disputes.
                Ok(()) = self.dispute.changed() => {
                    if let Some(failure) = self.dispute.borrow_and_update().clone() {
                        return ControlFlow::Break(StreamEnd::Disputed(failure));
                    }
                }
                next = stream.next() => return match next {
                    Ok(Some(block)) => ControlFlow::Continue(block),
                    Ok(None) => ControlFlow::Break(StreamEnd::Lost(None)),
                    Err(StreamError::Ledger(why)) => ControlFlow::Break(StreamEnd::Lost(Some(why))),
                    Err(StreamError::Chain(why)) => ControlFlow::Break(StreamEnd::Wrong(why, due)),
                },
                () = self.to.blocks.closed() => return ControlFlow::Break(StreamEnd::Unwanted),
                () = silence => {
                    peer.renew();
                    let reason = format!("the stream is silent although block {due} exists");
                    let error = LedgerError::local(Phase::Stream, OutcomeClass::Unavailable, reason);
                    return ControlFlow::Break(StreamEnd::Lost(Some(error.at(peer.endpoint()))));
                }
                // The sender exists as long as the follower.
                _ = self.heights.changed() => {}
            }
        }
    }
}

/// Returns why a peer did not serve. A stream can end without an error.
fn why_silent(peer: &Peer, error: Option<&LedgerError>) -> LedgerError {
    let ended = || {
        let reason = "the stream ended before the known block";
        LedgerError::local(Phase::Stream, OutcomeClass::Unavailable, reason).at(peer.endpoint())
    };
    error.cloned().unwrap_or_else(ended)
}
