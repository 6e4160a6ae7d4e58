//! Why the submitter does not go on.

use gx_fabric_client::{ChainError, LedgerError, StreamError};

/// A reason that only a person can remove.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The ledger is not the one that the read model was made from, or is broken.
    #[error("the ledger is not the one of this database: {0}")]
    Chain(#[from] ChainError),
    /// Envelopes are under way that were signed for another chain.
    #[error(
        "transactions under way were signed for another chain, {} among them: \
         connect to that ledger", tx_ids.join(", ")
    )]
    ForeignAttempts {
        /// Some of them.
        tx_ids: Vec<String>,
    },
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum SubmitterError {
    /// Only a person can help.
    #[error("submission is halted")]
    Halted(#[from] Halt),
    /// The ledger cannot be reached now.
    #[error("the ledger cannot be reached")]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<StreamError> for SubmitterError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Ledger(error) => Self::Ledger(error),
            StreamError::Chain(error) => Self::Halted(error.into()),
        }
    }
}
