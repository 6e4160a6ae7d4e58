//! Whether peers of several organisations came to the same state.

use crate::deliver::StreamError;

/// One peer's running hash over validity and state, up to a block.
#[derive(Clone, Debug)]
pub struct PeerCommitHash {
    /// The peer's endpoint.
    pub peer: String,
    /// The peer's organisation.
    pub msp_id: String,
    /// Whether it belongs to the reader's organisation.
    pub own: bool,
    /// None where the peer keeps no such hash.
    pub hash: Result<Option<Vec<u8>>, StreamError>,
}

impl PeerCommitHash {
    fn known(&self) -> Option<&[u8]> {
        self.hash.as_ref().ok()?.as_deref()
    }
}

/// What the peers say of one block.
#[derive(Clone, Debug)]
pub struct CommitHashes {
    /// The block's number.
    pub number: u64,
    /// Every peer's answer.
    pub answers: Vec<PeerCommitHash>,
}

impl CommitHashes {
    /// The peers that came to another state than the first of ours that answered; none when
    /// there is nothing to compare.
    pub fn differing(&self) -> Vec<&PeerCommitHash> {
        let Some(ours) = self.ours() else { return Vec::new() };
        let differs = |peer: &&PeerCommitHash| peer.known().is_some_and(|theirs| theirs != ours);
        self.answers.iter().filter(differs).collect()
    }

    /// The peers that came to the same state as the first of ours that answered, which is not
    /// among them: it agrees with nobody but itself.
    pub fn agreeing(&self) -> Vec<&PeerCommitHash> {
        let Some(first) = self.first_of_ours() else { return Vec::new() };
        let ours = self.answers[first].known();
        let others = self.answers.iter().enumerate().filter(|(index, _)| *index != first);
        others.map(|(_, peer)| peer).filter(|peer| peer.known() == ours).collect()
    }

    /// The hash of the first of our peers that gave one: what others' are compared with.
    pub fn ours(&self) -> Option<&[u8]> {
        self.answers[self.first_of_ours()?].known()
    }

    fn first_of_ours(&self) -> Option<usize> {
        self.answers.iter().position(|peer| peer.own && peer.known().is_some())
    }

    /// How many peers of other organisations gave a hash.
    pub fn others(&self) -> usize {
        let others = self.answers.iter().filter(|peer| !peer.own);
        others.filter(|peer| peer.known().is_some()).count()
    }
}
