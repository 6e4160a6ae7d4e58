//! A whole ledger in one file: its chain, state and identities, so that the same ledger with
//! the same hashes can stand elsewhere.
//!
//! The tables are copied as they are, not replayed: private data, and what a fault once made
//! of a transaction, cannot be derived from blocks. The keys are part of it, for the chain
//! goes on under the same organisations.

mod files;
mod format;
mod load;
mod write;

use std::path::PathBuf;

pub use load::load;
pub use write::dump;
pub(crate) use write::{write_dump, write_new_file};

/// What a dump holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpSummary {
    /// The channel's name.
    pub channel: String,
    /// Blocks in the chain.
    pub height: u64,
    /// Header hash of the newest block, in hexadecimal.
    pub newest_hash: String,
}

/// Why a ledger is not written to a file, or not read from one.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// A file or folder cannot be read or written.
    #[error("{path} cannot be used: {reason}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The folder to dump has no ledger.
    #[error("there is no ledger in {path}")]
    NoLedger {
        /// The folder.
        path: PathBuf,
    },
    /// The folder to load into is not new.
    #[error("{path} is there already: load into a folder that has no ledger")]
    Occupied {
        /// What stands in the way.
        path: PathBuf,
    },
    /// The dump is damaged, cut short or something else.
    #[error("the dump cannot be loaded: {0}")]
    Damaged(String),
    /// The ledger's store has failed.
    #[error("the ledger cannot be read or written: {0}")]
    Store(String),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Open(#[from] crate::DevnetError),
}
