//! Dumps: a whole ledger in one file, with its chain, state and identities, from which the same
//! ledger with the same hashes can be made elsewhere. Called by `gx devnet dump` and `load`, by
//! [`crate::Devnet::dump`], and by the control endpoint.
//!
//! The tables are copied, because blocks do not contain everything: private data and the results of
//! faults are not in them. The keys are included, because the chain continues with the same
//! organisations.

mod files;
mod format;
mod load;
mod write;

use std::path::PathBuf;

pub use load::load;
pub use write::dump;
pub(crate) use write::{write_dump, write_new_file};

/// Summary of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpSummary {
    /// The channel's name.
    pub channel: String,
    /// Number of blocks in the chain.
    pub height: u64,
    /// The header hash of the newest block, in hexadecimal.
    pub newest_hash: String,
}

/// Why a ledger cannot be dumped or loaded.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// A file or folder cannot be read or written.
    #[error("`{path}` cannot be used: {reason}; choose another path, or correct its permissions")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        reason: std::io::Error,
    },
    /// The folder to dump has no ledger.
    #[error("there is no ledger in `{path}`; choose the data folder of a ledger")]
    NoLedger {
        /// The folder.
        path: PathBuf,
    },
    /// The folder to load into already has a ledger.
    #[error("`{path}` already has a ledger; choose an empty folder")]
    Occupied {
        /// The file or folder that already exists.
        path: PathBuf,
    },
    /// The dump is damaged, incomplete or not a dump.
    #[error("the dump cannot be loaded: {0}; make a new one with `gx devnet dump`")]
    Damaged(String),
    /// The store of the ledger failed.
    #[error("the ledger cannot be read or written: {0}; check its folder and the disk")]
    Store(String),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Open(#[from] crate::DevnetError),
}
