//! Errors of a rebuild. `gx projection rebuild` prints them, and the reconciliation stores them as
//! the task's report.

use gx_fabric_client::{ChainError, LedgerError, StreamError};

use crate::error::ProjectorError;

/// Why a rebuild ended early. The live rows are unchanged, except after a [`Self::Database`] of the
/// clean-up that follows the committed correction.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Another rebuild is running.
    #[error("another rebuild of this channel is running; wait until it ends")]
    AlreadyRunning,
    /// The read model is empty, so there is nothing to correct.
    #[error("the read model has no checkpoint; start the projector, which begins at block 0")]
    NothingProjected,
    /// The read model was made from another chain.
    #[error("this database belongs to another ledger; check the connection profile")]
    OtherChain(#[source] ChainError),
    /// An event cannot be applied. Its cause must be removed before the live rows are corrected.
    #[error(
        "block {block} has an event {name} that cannot be applied: {reason}; remove the cause first"
    )]
    DeadEvent {
        /// Number of its block.
        block: i64,
        /// Its name.
        name: String,
        /// Why it cannot be applied.
        reason: String,
    },
    /// A block that the live rows contain was not delivered.
    #[error("block {number} was not delivered in time; check the peers, and try again")]
    Silent {
        /// Number of the block.
        number: u64,
    },
    /// The live rows were ahead of the fetched blocks at each attempt.
    #[error(
        "the live projector was ahead at each of {attempts} attempts; try again when fewer blocks come"
    )]
    Outrun {
        /// Number of attempts.
        attempts: u32,
    },
    /// A block could not be applied to the copies.
    #[error("a block cannot be applied; remove the cause, and rebuild again")]
    Block(#[source] ProjectorError),
    /// The ledger cannot be reached.
    #[error("the ledger cannot be reached; check the peers with `gx fabric check`")]
    Ledger(#[from] LedgerError),
    /// The database failed; the source says why.
    #[error("the read model cannot be read or written; check the database and its log")]
    Database(#[from] sqlx::Error),
}

impl From<StreamError> for RebuildError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Ledger(error) => Self::Ledger(error),
            StreamError::Chain(wrong) => Self::OtherChain(wrong),
        }
    }
}

impl From<ChainError> for RebuildError {
    fn from(wrong: ChainError) -> Self {
        Self::OtherChain(wrong)
    }
}

impl From<ProjectorError> for RebuildError {
    fn from(error: ProjectorError) -> Self {
        match error {
            ProjectorError::Database(error) => Self::Database(error),
            ProjectorError::Ledger(error) => Self::Ledger(error),
            error => Self::Block(error),
        }
    }
}
