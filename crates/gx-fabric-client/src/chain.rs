//! The errors of the chains that peers show. The first five kinds are about one peer, which is set
//! aside; the others end a follower or a comparison of all our peers.

use std::fmt;

/// What is wrong with the chain of one peer, or with the chains of all our peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A known block has another hash on this chain.
    #[error(
        "another chain: block {number} has the hash {}, not {}",
        hex::encode(found),
        hex::encode(expected)
    )]
    OtherChain {
        /// The known block's number.
        number: u64,
        /// The hash that is known.
        expected: [u8; 32],
        /// The hash on this chain.
        found: [u8; 32],
    },
    /// A block does not link to the block before it.
    #[error(
        "broken chain: block {number} follows the hash {}, not {}",
        hex::encode(found),
        hex::encode(expected)
    )]
    BrokenChain {
        /// The block's number.
        number: u64,
        /// The hash of the block before it.
        expected: [u8; 32],
        /// The previous hash that the block names.
        found: Vec<u8>,
    },
    /// A block is missing or out of order.
    #[error("gap in the chain: block {found} came instead of block {expected}")]
    Gap {
        /// The number that was expected.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The entries of a block do not match the data hash in its header.
    #[error("forged block: the data of block {number} does not have its header's data hash")]
    DataHash {
        /// The block's number.
        number: u64,
    },
    /// A block lacks a part that every block has.
    #[error("malformed block {}: {reason}", number.map_or_else(|| "of unknown number".to_owned(), |n| n.to_string()))]
    Malformed {
        /// The block's number, if it has one.
        number: Option<u64>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// All configured peers of our organisation show a wrong chain.
    #[error("{}", listed(.0))]
    Everywhere(Vec<WrongPeer>),
    /// More of our peers contradict a known block than have it. Those that have it are not followed
    /// either, because the client cannot decide which side is right.
    #[error(
        "most of our peers contradict the known block, so no peer is followed: {}",
        listed(.0)
    )]
    Outvoted(Vec<WrongPeer>),
    /// Some of our peers show a wrong chain, and the others do not answer.
    #[error(
        "none of our peers can be followed: {}; {} does not answer",
        listed(.wrong),
        .silent.join("; ")
    )]
    NobodyRight {
        /// The peers that show a wrong chain.
        wrong: Vec<WrongPeer>,
        /// The peers that do not answer, each with the reason.
        silent: Vec<String>,
    },
    /// Our peers have different first blocks, and no known block tells which one is right.
    #[error("our peers serve different chains: {}; remove the wrong peer from the connection profile", .0.join("; "))]
    Undecided(Vec<String>),
    /// The follower's task was stopped.
    #[error("the follower was stopped")]
    Stopped,
}

/// A peer of our organisation and the error of its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongPeer {
    /// The peer's endpoint.
    pub peer: String,
    /// The error of its chain.
    pub error: Box<ChainError>,
}

impl fmt::Display for WrongPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at peer {}", self.error, self.peer)
    }
}

/// Describes all wrong peers in one line.
fn listed(peers: &[WrongPeer]) -> String {
    peers.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl ChainError {
    /// Returns whether every configured peer of our organisation contradicts a known block. Then
    /// the database belongs to another ledger than the peers: the workers end their process. After
    /// another error of the chain they try again.
    pub fn is_another_chain_everywhere(&self) -> bool {
        matches!(self, Self::Everywhere(peers) if peers.iter().all(|one| one.error.contradicts()))
    }

    /// Returns whether the error is that a known block has another hash, so that either the peer
    /// or the known block is wrong.
    pub(crate) fn contradicts(&self) -> bool {
        matches!(self, Self::OtherChain { .. })
    }

    /// Returns the kind of error, as in metric labels.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::OtherChain { .. } => "other_chain",
            Self::BrokenChain { .. } => "broken_chain",
            Self::Gap { .. } => "gap",
            Self::DataHash { .. } => "data_hash",
            Self::Malformed { .. } => "malformed",
            Self::Everywhere(_) => "everywhere",
            Self::Outvoted(_) => "outvoted",
            Self::NobodyRight { .. } => "nobody_right",
            Self::Undecided(_) => "undecided",
            Self::Stopped => "stopped",
        }
    }
}
