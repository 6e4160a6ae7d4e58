//! Why a development ledger does not start. `gx devnet` and `gx dev` print the error and end.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a development ledger does not start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// The data folder cannot be used.
    #[error("the ledger's folder `{path}` cannot be used: {reason}; give a writable `--data-dir`")]
    DataDir {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        reason: std::io::Error,
    },
    /// Another process has the same ledger open.
    #[error("the ledger `{path}` is open in another process; stop that one or give another folder")]
    InUse {
        /// The ledger's file.
        path: PathBuf,
    },
    /// The ledger's file is damaged or of another format.
    #[error("the ledger `{path}` cannot be opened: {reason}; remove its folder to start over")]
    Store {
        /// The ledger's file.
        path: PathBuf,
        /// The error of the store.
        reason: String,
    },
    /// The ledger belongs to another channel.
    #[error("the ledger in `{path}` is of channel {found}, not {wanted}; give another folder")]
    OtherChannel {
        /// The ledger's file.
        path: PathBuf,
        /// The channel in its genesis block.
        found: String,
        /// The channel of the options.
        wanted: String,
    },
    /// A key or certificate on disk is invalid, or none can be created.
    #[error("the identities in `{path}` cannot be used: {reason}; remove the folder to start over")]
    Identities {
        /// The folder of the identities.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The address is in use or is not of this machine.
    #[error("cannot listen on {address}: {reason}; free the port or give another `--listen`")]
    Listen {
        /// The address of the options.
        address: SocketAddr,
        /// The error of the operating system.
        reason: std::io::Error,
    },
    /// The control endpoint would be reachable from other machines.
    #[error(
        "the control endpoint cannot be at {address}, because other machines would reach it; give \
         a loopback address with `--control`"
    )]
    ControlNotLocal {
        /// The address of the options.
        address: SocketAddr,
    },
    /// The definition of a chaincode is invalid.
    #[error("the chaincodes of the development ledger are misconfigured: {reason}; {remedy}")]
    Chaincode {
        /// The chaincode, and what is wrong.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The TLS library does not accept the certificates.
    #[error(
        "TLS cannot be set up with the certificates of this ledger; remove its folder to start over"
    )]
    Tls(#[source] tonic::transport::Error),
    /// The operating system cannot start a thread.
    #[error("cannot start the thread that commits blocks: {reason}; allow this user more threads")]
    Thread {
        /// The error of the operating system.
        reason: std::io::Error,
    },
}
