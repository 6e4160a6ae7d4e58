//! The GX contracts as a chaincode service that Fabric peers dial. Run by `gx chaincode`.
//!
//! A peer connects and opens one stream. The service registers with the id of the installed
//! package, and the peer then sends transactions, many at once. Each transaction runs on its own
//! thread, because the contracts read state by function calls. Requests for state go to the peer
//! over the same stream; each transaction has at most one open request, as the protocol demands.

mod caller;
mod package;
mod peer;
mod server;
mod session;
mod transaction;

pub use package::{Connection, Package, PackageError};
pub use server::{ChaincodeError, ChaincodeOptions, ChaincodeServer, TlsFiles};
