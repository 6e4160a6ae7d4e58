//! Why read model and chain could not be compared.

use gx_fabric_client::{ChainError, LedgerError, StreamError};

/// Why no comparison was made.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nothing was projected.
    #[error("the read model is empty: no block was ever applied")]
    NothingProjected,
    /// The read model was made from another chain.
    #[error("the ledger is not the one of this database")]
    OtherChain(#[source] ChainError),
    /// The projector does not reach the ledger's tip.
    #[error(
        "the read model stands at block {checkpoint} and the ledger at block {tip}: \
         there is nothing to compare before the projector has caught up"
    )]
    Behind {
        /// The last block applied.
        checkpoint: u64,
        /// The newest block.
        tip: u64,
    },
    /// The ledger cannot be reached.
    #[error("the ledger cannot be reached")]
    Ledger(#[from] LedgerError),
    /// An answer of the contracts is not what they are known to answer.
    #[error("the ledger's answer to {function} cannot be read")]
    Unreadable {
        /// The query.
        function: &'static str,
        /// What is wrong with its answer.
        #[source]
        why: serde_json::Error,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<StreamError> for VerifyError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Ledger(error) => Self::Ledger(error),
            StreamError::Chain(wrong) => Self::OtherChain(wrong),
        }
    }
}
