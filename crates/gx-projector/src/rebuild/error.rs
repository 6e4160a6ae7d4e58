//! Why a rebuild did not come to its end.

use gx_fabric_client::{ChainError, LedgerError, StreamError};

use crate::error::ProjectorError;

/// Why a rebuild ended early. The live rows are what they were.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// One rebuild at a time.
    #[error("another rebuild of this channel is running")]
    AlreadyRunning,
    /// There is nothing to put right.
    #[error("the read model has no checkpoint: start the projector, which begins at block 0")]
    NothingProjected,
    /// The read model was made from another chain.
    #[error("the ledger is not the one of this database")]
    OtherChain(#[source] ChainError),
    /// An event cannot be applied: what it means must be known before anything is switched.
    #[error("block {block} has an event {name} that cannot be applied: {reason}")]
    DeadEvent {
        /// Its block.
        block: i64,
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A block that the live rows rest on does not come.
    #[error("block {number} was not delivered in time")]
    Silent {
        /// The block awaited.
        number: u64,
    },
    /// A block could not be applied to the copies.
    #[error("a block cannot be applied")]
    Block(#[source] ProjectorError),
    /// The ledger cannot be reached.
    #[error("the ledger cannot be reached")]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error("the database failed")]
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
