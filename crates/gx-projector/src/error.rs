//! Errors of the projector, and how the loop in `run` continues after each.
//!
//! The loop repeats a failed step after a pause of at most 3 s, also after a [`Halt`], since the
//! cause may be removed. It ends the process only if all our peers show another chain.

use gx_fabric_client::{ChainError, LedgerError, StreamError};

/// A reason that only a person can remove. Until then no block is applied, and the check
/// `projection` is unhealthy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The ledger is not the one that the read model was made from, or its chain is broken.
    #[error("the chain of the peers does not fit this database: {0}; check the connection profile")]
    Chain(#[from] ChainError),
    /// The first block for an empty read model is not block 0.
    #[error(
        "the read model is empty and block {number} was delivered, but projection begins at \
         block 0; rebuild it from there"
    )]
    NotFromZero {
        /// Number of the block that was delivered.
        number: u64,
    },
    /// Blocks were applied according to the checkpoint, but the read model has none of their
    /// events.
    #[error(
        "the checkpoint is at block {checkpoint}, but no event of block {block} is in the \
         read model; restore it, or delete the checkpoint and project from block 0"
    )]
    EmptyReadModel {
        /// Block number of the checkpoint.
        checkpoint: i64,
        /// Number of a block that has an event.
        block: u64,
    },
    /// A block is missing.
    #[error(
        "block {found} came where block {expected} was due, so it was not applied and the \
         projector tries again; check the peers in the connection profile"
    )]
    Gap {
        /// Number of the missing block.
        expected: u64,
        /// Number of the block that was delivered.
        found: u64,
    },
    /// A block does not continue the last block that was applied.
    #[error(
        "block {number} does not continue the block before it, so it was not applied and the \
         projector tries again; check the peers in the connection profile"
    )]
    Broken {
        /// Number of the block that was delivered.
        number: u64,
    },
    /// An event does not name what it concerns. It cannot become a dead letter, because operators
    /// could not tell which rows lack it.
    #[error(
        "an event of block {block}, transaction {tx_id}, cannot be stored: {reason}; run the \
         release that the chaincode belongs to"
    )]
    Unplaceable {
        /// Number of its block.
        block: u64,
        /// Id of its transaction.
        tx_id: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// Only a person can remove the cause.
    #[error("projection is halted")]
    Halted(#[from] Halt),
    /// The ledger cannot be reached now.
    #[error("the ledger cannot be reached")]
    Ledger(#[from] LedgerError),
    /// The database failed. The next step applies the same blocks.
    #[error("the read model cannot be read or written; check the database and its log")]
    Database(#[from] sqlx::Error),
    /// Another projector has moved the checkpoint, so this one gives up the lead.
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

/// Why events were not applied. `apply::events` decides what happens then.
#[derive(Debug)]
pub(crate) enum NotApplied {
    /// The events cannot be applied now. If it is a single event, it becomes a dead letter.
    Inapplicable(String),
    /// The read model lacks what some of the events name; the others can be applied.
    Missing(Missing),
    /// The database failed; all events must be applied again.
    Database(sqlx::Error),
}

/// What events name and the read model does not have.
#[derive(Debug)]
pub(crate) enum Missing {
    /// Ids of people who are not created.
    People(Vec<String>),
    /// Ids of accounts without a wallet.
    Wallets(Vec<String>),
    /// Country codes.
    Countries(Vec<String>),
}

/// An error is the event's fault if the schema rejects the data, or if the server cannot store it.
/// Any other error is temporary.
impl From<sqlx::Error> for NotApplied {
    fn from(error: sqlx::Error) -> Self {
        if ["21", "22", "23", "54"].into_iter().any(|class| is_of_class(&error, class)) {
            return Self::Inapplicable(format!("the database rejects it: {error}"));
        }
        Self::Database(error)
    }
}

/// Returns whether the statements exceed what the server can do in one transaction. The projector
/// then applies half as many blocks at once.
pub(crate) fn exceeds_resources(error: &sqlx::Error) -> bool {
    is_of_class(error, "53") || is_of_class(error, "54")
}

fn is_of_class(error: &sqlx::Error, class: &str) -> bool {
    let code = error.as_database_error().and_then(|refusal| refusal.code());
    code.is_some_and(|code| code.starts_with(class))
}

/// Returns the reason for an account that is on the chain and not in the read model.
pub(crate) fn no_account(account: &str) -> String {
    format!("the read model has no account {account}")
}

#[cfg(test)]
mod tests {

    use gx_db::testing::TestDatabase;
    use sqlx::AssertSqlSafe;

    use super::*;

    /// PRJ-14: errors of the data, errors of size, and temporary errors are distinguished. A lock
    /// timeout, a deadlock or a serialization failure is temporary.
    #[tokio::test]
    async fn database_errors_are_classified_by_sqlstate() {
        let db = TestDatabase::empty().await;
        let mut conn = db.connection().await;
        for (code, is_the_events, exceeds) in [
            ("22003", true, false),
            ("23505", true, false),
            ("54000", true, true),
            ("53200", false, true),
            ("53100", false, true),
            ("55P03", false, false),
            ("40001", false, false),
            ("40P01", false, false),
            ("57014", false, false),
        ] {
            let sql = format!("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$");
            let raised = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
            let error = raised.unwrap_err();
            assert_eq!(exceeds_resources(&error), exceeds, "{code}");
            let fault = matches!(NotApplied::from(error), NotApplied::Inapplicable(_));
            assert_eq!(fault, is_the_events, "{code}");
        }
    }
}
