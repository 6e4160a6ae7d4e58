//! Compares the chains of our peers. Each peer's answer counts for or against that peer alone.
//!
//! The projector and the submitter compare at the start, a follower after a peer contradicted the
//! last block. A peer that shows a broken block, or another one than the known block, is set aside.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Code;

use super::Ledger;
use crate::block::check_same;
use crate::block::{Block, BlockId};
use crate::chain::{ChainError, WrongPeer};
use crate::deliver::StreamError;
use crate::error::{LedgerError, Phase};
use crate::outcome_class::OutcomeClass;
use crate::peer::Peer;

/// The answer of one of our peers to a request for known blocks.
enum PeerAnswer {
    /// The peer has the blocks; this is the last one.
    Agrees(Box<Block>),
    /// The peer has other blocks or broken ones.
    Wrong(ChainError),
    /// The peer does not answer or does not have the blocks.
    Silent(LedgerError),
}

impl Ledger {
    /// Checks that our peers have these blocks; the last one is where following continues. A peer
    /// that shows another chain is set aside.
    ///
    /// # Errors
    /// [`StreamError::Chain`] if all our peers show a wrong chain, if more of them contradict the
    /// blocks than have them, or if some show a wrong chain and no other answers;
    /// [`StreamError::Ledger`] if no peer has the last block and none shows a wrong chain.
    pub async fn confirm(&self, known: &[BlockId]) -> Result<(), StreamError> {
        let answers = self.ask_all(known).await;
        let count = |is: fn(&PeerAnswer) -> bool| answers.iter().filter(|one| is(one)).count();
        let agree = count(|one| matches!(one, PeerAnswer::Agrees(_)));
        let contradict = count(|one| matches!(one, PeerAnswer::Wrong(it) if it.contradicts()));
        if agree == 0 {
            return Err(self.nobody_serves(silent(answers)));
        }
        if contradict > agree {
            let wrong = self.wrong_peers().into_iter().filter(|one| one.error.contradicts());
            return Err(ChainError::Outvoted(wrong.collect()).into());
        }
        Ok(())
    }

    /// Asks the peers whose time aside is over for a known block, and takes back those that show
    /// it. Callers that do not follow the chain use this, because nothing else asks such peers.
    pub async fn reconsider(&self, known: BlockId) {
        for peer in self.trusted() {
            if peer.wrong_chain().is_some() && peer.may_be_asked() {
                self.ask(peer, &[known]).await;
            }
        }
    }

    /// Returns block 0, which identifies the chain, if all our peers that answer agree on it. For a
    /// start without a known block.
    ///
    /// # Errors
    /// [`StreamError::Chain`] if the peers differ or all show a wrong chain;
    /// [`StreamError::Ledger`] if no peer answers.
    pub async fn genesis_block(&self) -> Result<Block, StreamError> {
        let mut answers = self.ask_all(&[]).await;
        let shown: Vec<_> = answers.iter().zip(self.trusted()).filter_map(shown_by).collect();
        if shown.iter().any(|(_, hash)| *hash != shown[0].1) {
            let each = shown.iter().map(|(peer, hash)| {
                format!("block 0 has the hash {} at peer {peer}", hex::encode(hash))
            });
            return Err(ChainError::Undecided(each.collect()).into());
        }
        let agrees = answers.iter().position(|one| matches!(one, PeerAnswer::Agrees(_)));
        match agrees.map(|index| answers.swap_remove(index)) {
            Some(PeerAnswer::Agrees(block)) => Ok(*block),
            _ => Err(self.nobody_serves(silent(answers))),
        }
    }

    /// Reads a known block from our first peer that has it.
    ///
    /// # Errors
    /// [`StreamError`] if no peer has it. A peer that shows another block in its place is set
    /// aside. See [`Ledger::block`] for the kinds.
    pub async fn known_block(&self, known: BlockId) -> Result<Block, StreamError> {
        self.first_that_shows(known.number, |block| check_same(known, block)).await
    }

    /// Reads a block from our first peer whose block passes the check. A peer with a wrong block is
    /// set aside.
    pub(super) async fn first_that_shows(
        &self,
        number: u64,
        check: impl Fn(&Block) -> Result<(), ChainError>,
    ) -> Result<Block, StreamError> {
        let mut silent = Vec::new();
        for peer in self.peers_to_ask() {
            match self.show(&peer, number, &check).await {
                PeerAnswer::Agrees(block) => return Ok(*block),
                PeerAnswer::Wrong(_) => {}
                PeerAnswer::Silent(error) => silent.push(error),
            }
        }
        Err(self.nobody_serves(silent))
    }

    /// Returns the error if none of our peers can be followed. It names the peers with a wrong
    /// chain and the reasons of the others.
    pub(crate) fn nobody_serves(&self, silent: Vec<LedgerError>) -> StreamError {
        let wrong = self.wrong_peers();
        if wrong.is_empty() {
            // A peer may have been taken back after it was skipped.
            let passed_over = || {
                let reason = "no peer of ours could be asked; trying again";
                LedgerError::local(Phase::Stream, OutcomeClass::Unavailable, reason)
            };
            return silent.into_iter().next().unwrap_or_else(passed_over).into();
        }
        if wrong.len() == self.trusted().len() {
            return ChainError::Everywhere(wrong).into();
        }
        let named = |error: &LedgerError| {
            let peer = error.peer.as_deref().unwrap_or("a peer");
            format!("{peer}: {}", error.message)
        };
        // A peer that has just shown a wrong chain is not listed twice.
        let others = silent.iter().filter(|error| {
            wrong.iter().all(|one| Some(one.peer.as_str()) != error.peer.as_deref())
        });
        ChainError::NobodyRight { silent: others.map(named).collect(), wrong }.into()
    }

    /// Returns our peers that are set aside, each with its reason.
    fn wrong_peers(&self) -> Vec<WrongPeer> {
        let wrong = self.trusted().iter().filter_map(|peer| {
            let error = Box::new(peer.wrong_chain()?);
            Some(WrongPeer { peer: peer.endpoint().to_owned(), error })
        });
        wrong.collect()
    }

    /// Returns the peers of ours to ask, in order: those without a wrong chain, then those whose
    /// time aside is over.
    fn peers_to_ask(&self) -> Vec<Arc<Peer>> {
        let (right, wrong): (Vec<_>, Vec<_>) =
            self.trusted().iter().cloned().partition(|peer| peer.wrong_chain().is_none());
        right.into_iter().chain(wrong.into_iter().filter(|peer| peer.may_be_asked())).collect()
    }

    /// Asks all our peers at once for the known blocks, or for block 0 if none is known. After one
    /// agrees, the others get `height_timeout` to answer, so that a frozen peer does not delay the
    /// start. A peer whose time aside is not over counts as wrong without being asked.
    async fn ask_all(&self, known: &[BlockId]) -> Vec<PeerAnswer> {
        let mut answers: Vec<PeerAnswer> = Vec::new();
        let mut questions = JoinSet::new();
        for (index, peer) in self.trusted().iter().enumerate() {
            let set_aside = peer.wrong_chain().filter(|_| !peer.may_be_asked());
            let late = || LedgerError::timed_out(Phase::Stream).at(peer.endpoint());
            answers.push(set_aside.map_or_else(|| PeerAnswer::Silent(late()), PeerAnswer::Wrong));
            if matches!(answers[index], PeerAnswer::Silent(_)) {
                let (ledger, peer, known) = (self.clone(), Arc::clone(peer), known.to_vec());
                questions.spawn(async move { (index, ledger.ask(&peer, &known).await) });
            }
        }
        let mut deadline = None;
        loop {
            let answer = match deadline {
                None => questions.join_next().await,
                Some(at) => {
                    tokio::time::timeout_at(at, questions.join_next()).await.unwrap_or(None)
                }
            };
            let Some(answer) = answer else { return answers };
            let (index, one) = answer.expect("a question neither panics nor is cancelled");
            if matches!(one, PeerAnswer::Agrees(_)) && deadline.is_none() {
                deadline = Some(Instant::now() + self.limits().height_timeout);
            }
            answers[index] = one;
        }
    }

    /// Asks one peer for the known blocks in order, or for block 0 if none is known.
    async fn ask(&self, peer: &Peer, known: &[BlockId]) -> PeerAnswer {
        let Some((last, before)) = known.split_last() else {
            return self.show(peer, 0, |_| Ok(())).await;
        };
        for known in before {
            match self.show(peer, known.number, |block| check_same(*known, block)).await {
                PeerAnswer::Wrong(wrong) => return PeerAnswer::Wrong(wrong),
                PeerAnswer::Agrees(_) => {}
                // A peer that joined from a snapshot does not have early blocks.
                PeerAnswer::Silent(error) if error.code == Code::NotFound => {}
                PeerAnswer::Silent(error) => return PeerAnswer::Silent(error),
            }
        }
        self.show(peer, last.number, |block| check_same(*last, block)).await
    }

    /// Reads a block from a peer, checks it, and records the result for that peer.
    async fn show(
        &self,
        peer: &Peer,
        number: u64,
        check: impl Fn(&Block) -> Result<(), ChainError>,
    ) -> PeerAnswer {
        let shown = self.block_from(peer, number).await;
        match shown.and_then(|block| Ok(check(&block).map(|()| block)?)) {
            Ok(block) => {
                peer.showed_right(number);
                PeerAnswer::Agrees(Box::new(block))
            }
            Err(StreamError::Chain(wrong)) => {
                peer.set_aside(&wrong, number);
                PeerAnswer::Wrong(wrong)
            }
            Err(StreamError::Ledger(error)) => PeerAnswer::Silent(error),
        }
    }
}

/// Returns the peer and the hash of the block that it showed, or `None` if it showed no block.
fn shown_by<'a>((one, peer): (&PeerAnswer, &'a Arc<Peer>)) -> Option<(&'a str, [u8; 32])> {
    match one {
        PeerAnswer::Agrees(block) => Some((peer.endpoint(), block.hash)),
        PeerAnswer::Wrong(_) | PeerAnswer::Silent(_) => None,
    }
}

fn silent(answers: Vec<PeerAnswer>) -> Vec<LedgerError> {
    let silent = answers.into_iter().filter_map(|one| match one {
        PeerAnswer::Silent(error) => Some(error),
        PeerAnswer::Agrees(_) | PeerAnswer::Wrong(_) => None,
    });
    silent.collect()
}
