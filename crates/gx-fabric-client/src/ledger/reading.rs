//! Reading the chain: single blocks, heights and streams.

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
use crate::error::{LedgerError, OutcomeClass, Phase};
use crate::follow::Follower;
use crate::heights::PeerHeight;
use crate::identity::Identity;
use crate::peer::Peer;
use crate::proposal::seek_envelope;
use crate::telemetry::{count_failure, show_heights};

impl Ledger {
    /// The genesis block's number and hash: the chain's identity.
    pub async fn genesis(&self) -> Result<BlockId, StreamError> {
        Ok(self.block(0).await?.id())
    }

    /// Confirms that the peers serve the chain whose genesis block has this hash.
    pub async fn check_genesis(&self, expected: &[u8; 32]) -> Result<(), StreamError> {
        let BlockId { number, hash: found } = self.genesis().await?;
        if &found == expected {
            return Ok(());
        }
        Err(ChainError::OtherChain { number, expected: *expected, found }.into())
    }

    /// One block that exists, from the first trusted peer that has it.
    pub async fn block(&self, number: u64) -> Result<Block, StreamError> {
        let mut failure = None;
        for peer in self.trusted() {
            match self.block_from(peer, number).await {
                Ok(block) => return Ok(block),
                Err(error @ StreamError::Chain(_)) => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("a configuration has at least one trusted peer"))
    }

    /// Compares our peers' commit hash of a block with other organisations': validity is a
    /// peer's own judgement, and nothing signed covers it.
    pub async fn compare_commit_hashes(&self, number: u64) -> CommitHashes {
        let mut questions = JoinSet::new();
        for (index, peer) in self.0.peers.iter().enumerate() {
            let (ledger, peer) = (self.clone(), Arc::clone(peer));
            questions.spawn(async move {
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

    /// How far every peer is; all are asked at once.
    pub async fn heights(&self) -> Vec<PeerHeight> {
        let deadline = Instant::now() + self.0.limits.height_timeout;
        let mut questions = JoinSet::new();
        for (index, peer) in self.0.peers.iter().enumerate() {
            let seek = self.seek(&self.0.reader, deliver::newest());
            let (peer, own) = (Arc::clone(peer), index < self.0.own);
            questions.spawn(async move {
                let height = deliver::height_of(&peer, seek, deadline).await;
                let (msp_id, peer) = (peer.msp_id().to_owned(), peer.endpoint().to_owned());
                (index, PeerHeight { peer, msp_id, own, height })
            });
        }
        let mut answers = questions.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        let heights: Vec<_> = answers.into_iter().map(|(_, height)| height).collect();
        show_heights(&heights);
        heights
    }

    /// The blocks from a number on, as the first trusted peer delivers them, unverified
    /// against each other.
    pub fn blocks(&self, from: u64) -> BlockStream {
        self.open(self.first_trusted(), from)
    }

    /// Follows the chain after a known block, through outages, verified.
    pub fn follow(&self, from: BlockId) -> Follower {
        Follower::start(self.clone(), from)
    }

    pub(crate) fn open(&self, peer: &Peer, from: u64) -> BlockStream {
        BlockStream::open(peer, self.seek(&self.0.reader, deliver::from(from)))
    }

    async fn block_from(&self, peer: &Peer, number: u64) -> Result<Block, StreamError> {
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

    pub(crate) fn seek(
        &self,
        signer: &Identity,
        (start, stop, behavior): (SeekPosition, SeekPosition, SeekBehavior),
    ) -> Envelope {
        seek_envelope(signer, &self.signing_context(), start, stop, behavior)
    }
}
