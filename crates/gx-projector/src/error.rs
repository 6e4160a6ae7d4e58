//! Why the projector does not go on.

use gx_fabric_client::{ChainError, LedgerError, StreamError};

/// A reason that only a person can remove.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The ledger is not the one that the read model was made from, or is broken.
    #[error("the ledger is not the one of this database: {0}")]
    Chain(#[from] ChainError),
    /// The first block of an empty read model is not block 0.
    #[error(
        "the read model is empty and block {number} was delivered: \
         projection begins at block 0; rebuild it from there"
    )]
    NotFromZero {
        /// The block that came.
        number: u64,
    },
    /// The checkpoint says that blocks were applied whose events the read model lacks.
    #[error(
        "the checkpoint stands at block {checkpoint}, but no event of block {block} is in the \
         read model: restore it, or delete the checkpoint and project from block 0"
    )]
    EmptyReadModel {
        /// Where the checkpoint stands.
        checkpoint: i64,
        /// A block with an event.
        block: u64,
    },
    /// A block is missing.
    #[error("block {found} came where block {expected} was due: nothing was applied")]
    Gap {
        /// The block that was due.
        expected: u64,
        /// The block that came.
        found: u64,
    },
    /// A block does not continue the one that was applied last.
    #[error("block {number} does not continue the block applied before it: nothing was applied")]
    Broken {
        /// The block that came.
        number: u64,
    },
    /// An event whose aggregates nobody can tell: it cannot be set aside safely.
    #[error("an event of block {block}, transaction {tx_id}, cannot be set aside: {reason}")]
    Unplaceable {
        /// Its block.
        block: u64,
        /// Its transaction.
        tx_id: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// Only a person can help.
    #[error("projection is halted")]
    Halted(#[from] Halt),
    /// The ledger cannot be reached now.
    #[error("the ledger cannot be reached")]
    Ledger(#[from] LedgerError),
    /// The database failed; the block is tried again.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// Somebody else moved the checkpoint: this one does not lead, whatever it believed.
    #[error("another projector moved the checkpoint")]
    CheckpointMoved,
}

impl From<StreamError> for ProjectorError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Ledger(error) => Self::Ledger(error),
            StreamError::Chain(error) => Self::Halted(error.into()),
        }
    }
}

impl From<ChainError> for ProjectorError {
    fn from(error: ChainError) -> Self {
        Self::Halted(error.into())
    }
}

/// Why one event was not applied.
#[derive(Debug)]
pub(crate) enum NotApplied {
    /// It cannot be, as things stand: a dead letter.
    Inapplicable(String),
    /// The database failed: everything is tried again.
    Database(sqlx::Error),
}

/// Data that the schema refuses is the event's fault; everything else is temporary.
impl From<sqlx::Error> for NotApplied {
    fn from(error: sqlx::Error) -> Self {
        let refused = error.as_database_error().is_some_and(|refusal| {
            refusal.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
        });
        if refused {
            return Self::Inapplicable(format!("the read model refuses it: {error}"));
        }
        Self::Database(error)
    }
}
