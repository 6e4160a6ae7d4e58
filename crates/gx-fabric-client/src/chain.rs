//! What makes a row of blocks one chain, and the errors that end following it.

use crate::block::{Block, BlockId};

/// The chain is not the one that was followed so far, or is broken. Waiting does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A known block has another hash here.
    #[error(
        "another chain: block {number} has the hash {}, not {}",
        hex::encode(found),
        hex::encode(expected)
    )]
    OtherChain {
        /// The known block's number.
        number: u64,
        /// Its hash as remembered.
        expected: [u8; 32],
        /// Its hash here.
        found: [u8; 32],
    },
    /// A block does not continue the one before it.
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
        /// What it names instead.
        found: Vec<u8>,
    },
    /// A block is missing or out of order.
    #[error("gap in the chain: block {found} came where block {expected} was due")]
    Gap {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A block's entries are not those of its header.
    #[error("forged block: the data of block {number} does not have its header's data hash")]
    DataHash {
        /// The block's number.
        number: u64,
    },
    /// A block lacks what every block has.
    #[error("malformed block {}: {reason}", number.map_or_else(|| "of unknown number".to_owned(), |n| n.to_string()))]
    Malformed {
        /// The block's number, if it has one.
        number: Option<u64>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The program is shutting down under the follower.
    #[error("the follower was stopped")]
    Stopped,
}

/// Checks that `block` is the one that is known as `known`.
pub(crate) fn check_same(known: BlockId, block: &Block) -> Result<(), ChainError> {
    if block.number != known.number {
        return Err(ChainError::Gap { expected: known.number, found: block.number });
    }
    if block.hash != known.hash {
        return Err(ChainError::OtherChain {
            number: known.number,
            expected: known.hash,
            found: block.hash,
        });
    }
    Ok(())
}

/// Checks that `block` comes right after `before`.
pub(crate) fn check_follows(before: BlockId, block: &Block) -> Result<(), ChainError> {
    if Some(block.number) != before.number.checked_add(1) {
        return Err(ChainError::Gap {
            expected: before.number.saturating_add(1),
            found: block.number,
        });
    }
    if block.previous_hash != before.hash {
        return Err(ChainError::BrokenChain {
            number: block.number,
            expected: before.hash,
            found: block.previous_hash.clone(),
        });
    }
    Ok(())
}
