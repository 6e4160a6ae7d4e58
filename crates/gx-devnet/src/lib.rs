//! A one-process development ledger that speaks the Fabric Gateway and Deliver protocols.
//!
//! It acts as the peers and the orderer and is used only over the wire; the protocol does not show
//! that it is one process. An endorsement runs the contracts on a snapshot of the committed state.
//! An envelope is checked and queued. One thread validates, commits and publishes blocks:
//!
//! ```text
//! Endorse ─► proposal ─► endorser ─► contract on a snapshot ─► read and write set, signed
//! Submit  ─► envelope checks ─► orderer (cuts) ─► committer (MVCC, one fsync) ─► store
//! Deliver, ChaincodeEvents, CommitStatus ◄─ store, woken by the height
//! ```
//!
//! `gx devnet`, `gx dev`, the benchmarks, the simulation and tests start it with [`Devnet::start`].
//! Deliberately missing are gossip, rich queries and changes of the channel's configuration.

mod build;
mod chaincode;
mod channel_policies;
mod clients;
mod collections;
mod control;
mod definitions;
mod deliver;
mod devnet;
mod dump;
mod endorser;
mod error;
mod faults;
mod gateway;
mod ledger;
mod msp;
mod node;
mod options;
mod ordering;
mod policy;
mod proposal;
mod servers;
mod status;
mod system;
mod transport;
mod unimplemented;

pub use chaincode::{ChaincodeService, ServiceTls};
pub use collections::{Collections, CollectionsError};
pub use devnet::{Devnet, PeerEndpoint};
pub use dump::{DumpError, DumpSummary, dump, load};
pub use error::DevnetError;
pub use faults::{Faults, Forgery, NodeFaults};
pub use gx_fabric_proto::protos::TxValidationCode;
pub use ledger::{BlockCutting, LedgerSnapshot, SnapshotError};
pub use msp::{IdentityRequest, PemIdentity};
pub use options::DevnetOptions;
pub use policy::{PolicyError, Principal, PrincipalRole, SignaturePolicy};

#[cfg(test)]
mod tests;
