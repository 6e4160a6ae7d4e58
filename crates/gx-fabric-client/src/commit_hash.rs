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
        let hash = |peer: &PeerCommitHash| peer.hash.as_ref().ok().and_then(Clone::clone);
        let Some(ours) = self.answers.iter().filter(|peer| peer.own).find_map(hash) else {
            return Vec::new();
        };
        let differs = |peer: &&PeerCommitHash| hash(peer).is_some_and(|theirs| theirs != ours);
        self.answers.iter().filter(differs).collect()
    }

    /// How many peers of other organisations gave a hash.
    pub fn others(&self) -> usize {
        let others = self.answers.iter().filter(|peer| !peer.own);
        others.filter(|peer| matches!(peer.hash, Ok(Some(_)))).count()
    }
}
