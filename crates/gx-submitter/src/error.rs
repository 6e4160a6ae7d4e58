//! Errors of the submitter, and what the loop in `run` does after each.
//!
//! The loop repeats a failed step after a pause, also after a [`Halt`], since the cause may be
//! removed. It ends the process only if all our peers show another chain, or if open attempts were
//! signed for another chain.

use gx_fabric_client::{ChainError, LedgerError, StreamError};

/// A reason why nothing is sent, which only a person can remove.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The ledger is not the one that the read model was made from, or its chain is broken.
    #[error("the chain of the peers does not fit this database: {0}; check the connection profile")]
    Chain(#[from] ChainError),
    /// Open attempts were signed for another chain.
    #[error(
        "open transactions were signed for another chain, {} among them; \
         connect to that ledger", tx_ids.join(", ")
    )]
    ForeignAttempts {
        /// Transaction ids of some of them.
        tx_ids: Vec<String>,
    },
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum SubmitterError {
    /// Only a person can remove the cause.
    #[error("submission is halted")]
    Halted(#[from] Halt),
    /// A call to the ledger failed.
    #[error("the ledger cannot be reached")]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error("the outbox cannot be read or written; check the database and its log")]
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
