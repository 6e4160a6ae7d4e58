//! Errors of a rebuild. `gx projection rebuild` prints them, and the reconciliation stores them as
//! the task's report.

use gx_fabric_client::{ChainError, LedgerError, StreamError};

use crate::error::{Halt, ProjectorError};

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
    /// A block cannot be applied to the copies, for a reason that would also halt the projector.
    /// The reason has its own remedy.
    #[error(transparent)]
    Halted(#[from] Halt),
    /// The checkpoint of the copies was moved, although the rebuild has locked them.
    #[error("another process has changed the copies of this rebuild; try again")]
    CopyMoved,
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
            ProjectorError::Halted(halt) => Self::Halted(halt),
            ProjectorError::CheckpointMoved => Self::CopyMoved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gx_serve::problem::ErrorChain;

    /// The remedy of what stopped a rebuild is the last thing that an operator reads.
    #[test]
    fn a_rebuild_that_is_halted_names_the_remedy_of_the_cause() {
        let halt = Halt::Gap { expected: 3, found: 5 };
        let error = RebuildError::from(ProjectorError::Halted(halt.clone()));
        let shown = ErrorChain(&error).to_string();
        assert_eq!(shown, halt.to_string());
        assert!(shown.ends_with("; check the peers in the connection profile"), "{shown}");
    }
}
