//! Why a development ledger does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// The data directory cannot be used.
    #[error("the ledger's folder {path} cannot be used: {reason}; give a writable --data-dir")]
    DataDir {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Another process has the same ledger open.
    #[error("the ledger {path} is open in another process; stop that one or give another folder")]
    InUse {
        /// The ledger's file.
        path: PathBuf,
    },
    /// The ledger's file is damaged or of another format.
    #[error("the ledger {path} cannot be opened: {reason}; remove its folder to start over")]
    Store {
        /// The ledger's file.
        path: PathBuf,
        /// What the store says.
        reason: String,
    },
    /// The ledger was made for another channel.
    #[error("the ledger in {path} is of channel {found}, not {wanted}; give another folder")]
    OtherChannel {
        /// The ledger's file.
        path: PathBuf,
        /// The channel of its genesis block.
        found: String,
        /// The channel asked for.
        wanted: String,
    },
    /// A key or certificate on disk is not what it should be, or none can be made.
    #[error("the identities in {path} cannot be used: {reason}; remove the folder to start over")]
    Identities {
        /// Their folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {reason}; free the port or give another --listen")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Other machines could steer the ledger.
    #[error("the control endpoint cannot be at {address}: it must be on the loopback interface")]
    ControlNotLocal {
        /// The address asked for.
        address: SocketAddr,
    },
    /// A chaincode cannot be deployed as it was asked for.
    #[error("the chaincodes are not right: {reason}")]
    Chaincode {
        /// Which one, and what to do.
        reason: String,
    },
    /// The TLS configuration was refused.
    #[error("TLS cannot be set up with the certificates of this ledger")]
    Tls(#[source] tonic::transport::Error),
    /// The system gives no thread.
    #[error("cannot start the thread that commits blocks: {reason}")]
    Thread {
        /// What the system says.
        reason: std::io::Error,
    },
}
