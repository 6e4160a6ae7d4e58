//! The rule by which blocks are cut. An option of the ledger, which the orderer obeys and the
//! channel's configuration shows.

use std::str::FromStr;
use std::time::Duration;

/// When the orderer cuts a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockCutting {
    /// Each transaction gets a block of its own at once.
    Immediate,
    /// A block is cut when one of the limits is reached.
    Batch {
        /// Limit of transactions in a block.
        max_count: usize,
        /// Limit of bytes of envelopes in a block; an envelope that is larger has its own block.
        max_bytes: usize,
        /// Time limit of the wait of a block's first transaction.
        max_wait: Duration,
    },
    /// A block is cut only by [`crate::Devnet::cut_block`].
    Manual,
}

/// Parses `at-once`, `by-hand`, or `batch:COUNT:BYTES:MILLISECONDS`. The error is for the command
/// line.
impl FromStr for BlockCutting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let batch = || {
            let mut limits = text.strip_prefix("batch:")?.split(':');
            let cutting = Self::Batch {
                max_count: limits.next()?.parse().ok().filter(|count| *count > 0)?,
                max_bytes: limits.next()?.parse().ok().filter(|bytes| *bytes > 0)?,
                max_wait: Duration::from_millis(limits.next()?.parse().ok()?),
            };
            limits.next().is_none().then_some(cutting)
        };
        match text {
            "at-once" => Ok(Self::Immediate),
            "by-hand" => Ok(Self::Manual),
            _ => batch().ok_or_else(|| {
                format!("{text:?} is not at-once, by-hand or batch:COUNT:BYTES:MILLISECONDS")
            }),
        }
    }
}
