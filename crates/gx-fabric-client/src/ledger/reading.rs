//! Reads the chain: single blocks, heights and streams. Called by the workers, by a follower and by
//! [`Ledger::preflight`].

use std::sync::Arc;

use gx_fabric_proto::common::Envelope;
use gx_fabric_proto::orderer::SeekPosition;
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Ledger;
use crate::block::{Block, BlockId};
use crate::chain::ChainError;
use crate::commit_hash::{CommitHashes, PeerCommitHash};
use crate::deliver::{self, BlockStream, StreamError};
use crate::error::{LedgerError, Phase};
use crate::heights::{PeerHeight, show_heights};
use crate::identity::Identity;
use crate::outcome_class::OutcomeClass;
use crate::peer::Peer;
use crate::proposal::seek_envelope;
use crate::telemetry::count_failure;

impl Ledger {
    /// Returns the id of the genesis block, which identifies the chain, if all our peers that
    /// answer agree on it.
    ///
    /// # Errors
    /// As for [`Ledger::genesis_block`].
    pub async fn genesis(&self) -> Result<BlockId, StreamError> {
        Ok(self.genesis_block().await?.id())
    }

    /// Returns a block that exists, from our first peer that shows an intact one.
    ///
    /// # Errors
    /// If no peer has an intact block: [`StreamError::Chain`] if a peer of ours is set aside, and
    /// [`StreamError::Ledger`] if none is.
    pub async fn block(&self, number: u64) -> Result<Block, StreamError> {
        self.first_that_shows(number, |_| Ok(())).await
    }

    /// Compares the commit hashes of all peers for a block. Each peer validates transactions by
    /// itself, and no signature covers the result.
    pub async fn compare_commit_hashes(&self, number: u64) -> CommitHashes {
        let mut questions = JoinSet::new();
        for (index, peer) in self.0.peers.iter().enumerate() {
            let (ledger, peer) = (self.clone(), Arc::clone(peer));
            questions.spawn(async move {
                // There is nothing to compare with a wrong chain.
                if let Some(wrong) = peer.wrong_chain() {
                    return (index, Err(wrong.into()));
                }
                let block = ledger.block_from(&peer, number).await;
                (index, block.map(|block| block.commit_hash))
            });
        }
        let mut answers = questions.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        let answers = self.0.peers.iter().zip(answers).enumerate();
        let answers = answers.map(|(index, (peer, (_, hash)))| PeerCommitHash {
            peer: peer.endpoint().to_owned(),
            msp_id: peer.msp_id().to_owned(),
            own: index < self.0.own,
            hash,
        });
        CommitHashes { number, answers: answers.collect() }
    }

    /// Returns the height of every peer. All are asked at once.
    pub async fn heights(&self) -> Vec<PeerHeight> {
        let deadline = Instant::now() + self.0.limits.height_timeout;
        let mut questions = JoinSet::new();
        for (index, peer) in self.0.peers.iter().enumerate() {
            let seek = self.seek(&self.0.reader, deliver::newest());
            let (peer, own) = (Arc::clone(peer), index < self.0.own);
            questions.spawn(async move {
                let height = deliver::height_of(&peer, seek, deadline).await;
                let wrong_chain = peer.wrong_chain();
                let (msp_id, peer) = (peer.msp_id().to_owned(), peer.endpoint().to_owned());
                (index, PeerHeight { peer, msp_id, own, height, wrong_chain })
            });
        }
        let mut answers = questions.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        let heights: Vec<_> = answers.into_iter().map(|(_, height)| height).collect();
        show_heights(&heights);
        heights
    }

    /// Returns the blocks from a number on, from our first peer that is not set aside. The links
    /// between blocks are not verified.
    pub fn blocks(&self, from: u64) -> BlockStream {
        let peer = self.first_trusted();
        self.open(peer, from).accountable(Arc::clone(peer))
    }

    /// Returns a stream of the blocks from a number on, for a caller that judges the peer itself.
    pub(crate) fn open(&self, peer: &Peer, from: u64) -> BlockStream {
        BlockStream::open(peer, self.seek(&self.0.reader, deliver::from(from)))
    }

    /// Reads one block from a peer and counts a failed call.
    pub(super) async fn block_from(&self, peer: &Peer, number: u64) -> Result<Block, StreamError> {
        let block = self.try_block_from(peer, number).await;
        if let Err(StreamError::Ledger(error)) = &block {
            count_failure(error);
        }
        block
    }

    async fn try_block_from(&self, peer: &Peer, number: u64) -> Result<Block, StreamError> {
        let deadline = Instant::now() + self.0.limits.block_timeout;
        let mut stream = BlockStream::open(peer, self.seek(&self.0.reader, deliver::one(number)));
        let answer = tokio::time::timeout_at(deadline, stream.next()).await.map_err(|_| {
            peer.renew();
            LedgerError::timed_out(Phase::Stream).at(peer.endpoint())
        })?;
        match answer? {
            Some(block) if block.number == number => Ok(block),
            Some(block) => Err(ChainError::Gap { expected: number, found: block.number }.into()),
            None => Err(LedgerError::local(
                Phase::Stream,
                OutcomeClass::Unavailable,
                "the stream ended before the block",
            )
            .at(peer.endpoint())
            .into()),
        }
    }

    /// Returns a signed request for these blocks.
    pub(crate) fn seek(
        &self,
        signer: &Identity,
        (start, stop, behavior): (SeekPosition, SeekPosition, SeekBehavior),
    ) -> Envelope {
        seek_envelope(signer, &self.signing_context(), start, stop, behavior)
    }
}
