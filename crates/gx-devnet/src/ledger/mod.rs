//! The chain and the state: simulation, ordering, validation, commit and durable storage.

mod block;
mod commit;
mod commit_hash;
mod config;
mod copy;
mod endorsement;
mod envelope;
mod errand;
mod history;
mod mvcc;
mod orderer;
mod private;
mod scan;
mod simulation;
mod simulation_private;
mod snapshot;
mod store;

pub(crate) use block::{clear_metadata, transactions};
pub(crate) use commit::{Committer, Genesis, OtherChannel};
pub(crate) use config::{ChannelConfig, OrganizationConfig};
pub(crate) use copy::{Chain, OwnedPiece, Piece};
pub(crate) use endorsement::Needs;
pub(crate) use envelope::{Judge, Judged, Opened};
pub(crate) use history::History;
pub(crate) use orderer::{Orderer, OrdererGone};
pub(crate) use simulation::{Metadata, Results, ScanId, Simulation, SimulationError};
pub(crate) use simulation_private::CollectionUse;
pub use snapshot::{LedgerSnapshot, SnapshotError};
pub(crate) use store::{CollectionName, Location, PrivateWrites, Store, StoreError};
