//! Compares the state of peers of several organisations by their commit hashes. A comparison is
//! made by `Ledger::compare_commit_hashes`, which the projector calls for the check `commitHash`.

use crate::deliver::StreamError;

/// A peer's running hash over validation codes and state, up to a block.
#[derive(Clone, Debug)]
pub struct PeerCommitHash {
    /// The peer's endpoint.
    pub peer: String,
    /// The peer's organisation.
    pub msp_id: String,
    /// Whether the peer belongs to the reader's organisation.
    pub own: bool,
    /// The hash; `None` if the peer keeps none. An error if the peer does not answer, does not have
    /// the block, or shows a wrong chain; the comparison then leaves the peer out.
    pub hash: Result<Option<Vec<u8>>, StreamError>,
}

impl PeerCommitHash {
    /// Returns the hash, or `None` if the peer gave none.
    fn known(&self) -> Option<&[u8]> {
        self.hash.as_ref().ok()?.as_deref()
    }
}

/// The commit hashes of all peers for one block.
#[derive(Clone, Debug)]
pub struct CommitHashes {
    /// The block's number.
    pub number: u64,
    /// Every peer's answer.
    pub answers: Vec<PeerCommitHash>,
}

impl CommitHashes {
    /// Returns the peers whose hash differs from that of our first peer with a hash. Empty if none
    /// of our peers has one.
    pub fn differing(&self) -> Vec<&PeerCommitHash> {
        let Some(ours) = self.ours() else { return Vec::new() };
        let differs = |peer: &&PeerCommitHash| peer.known().is_some_and(|theirs| theirs != ours);
        self.answers.iter().filter(differs).collect()
    }

    /// Returns the other peers whose hash equals that of our first peer with a hash.
    pub fn agreeing(&self) -> Vec<&PeerCommitHash> {
        let Some(first) = self.first_of_ours() else { return Vec::new() };
        let ours = self.answers[first].known();
        let others = self.answers.iter().enumerate().filter(|(index, _)| *index != first);
        others.map(|(_, peer)| peer).filter(|peer| peer.known() == ours).collect()
    }

    /// Returns the hash that others are compared with: that of our first peer with a hash. `None`
    /// means that nothing can be compared.
    pub fn ours(&self) -> Option<&[u8]> {
        self.answers[self.first_of_ours()?].known()
    }

    fn first_of_ours(&self) -> Option<usize> {
        self.answers.iter().position(|peer| peer.own && peer.known().is_some())
    }

    /// Returns the number of peers of other organisations that gave a hash.
    pub fn others(&self) -> usize {
        let others = self.answers.iter().filter(|peer| !peer.own);
        others.filter(|peer| peer.known().is_some()).count()
    }
}
