//! Errors of a comparison of read model and chain. `gx projection verify` prints them, and the
//! reconciliation reports its check as unknown.

use gx_fabric_client::{ChainError, LedgerError, StreamError};

/// Why a comparison ended early. Differences that were found before were reported.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// No block was ever applied.
    #[error(
        "the read model is empty; start the projector, and verify again when it has applied blocks"
    )]
    NothingProjected,
    /// The read model was made from another chain.
    #[error("this database belongs to another ledger; check the connection profile")]
    OtherChain(#[source] ChainError),
    /// The projector did not reach the ledger's tip in time.
    #[error(
        "the read model is at block {checkpoint} and the ledger at block {tip}; \
         verify again when the projector has caught up"
    )]
    Behind {
        /// Number of the last block that was applied.
        checkpoint: u64,
        /// Number of the newest block.
        tip: u64,
    },
    /// The ledger cannot be reached.
    #[error("the ledger cannot be reached; check the peers with `gx fabric check`")]
    Ledger(#[from] LedgerError),
    /// An answer of a contract has an unknown form.
    #[error(
        "the ledger's answer to {function} cannot be read; run the release that the chaincode \
         belongs to"
    )]
    Unreadable {
        /// The query.
        function: &'static str,
        /// Why its answer cannot be read.
        #[source]
        why: serde_json::Error,
    },
    /// The database failed; the source says why.
    #[error("the read model cannot be read; check the database and its log")]
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
