//! The GX contracts as a chaincode service that Fabric peers dial.
//!
//! A peer opens one stream, the service registers on it with the id of the installed
//! package, and from then on the peer sends transactions, many at once. Each runs on a thread
//! of its own, because the contracts ask for state as a function call; the questions go to the
//! peer over the same stream, one at a time for each transaction, as the protocol demands.

mod caller;
mod package;
mod peer;
mod server;
mod session;
mod transaction;

pub use package::{Connection, Package, PackageError};
pub use server::{ChaincodeError, ChaincodeOptions, ChaincodeServer, TlsFiles};
