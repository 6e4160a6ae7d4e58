//! The chain and the state. The other modules of the devnet endorse against it, submit to it and
//! read from it.
//!
//! Imports go one way: `state` holds what is stored, `simulation` reads it, `validation` checks
//! transactions against it, `commit` writes it, and `orderer` cuts the blocks that are committed.
//! `history` reads earlier values of a key.

mod block;
mod commit;
mod config;
mod history;
mod orderer;
mod simulation;
mod state;
mod validation;

pub(crate) use block::{clear_metadata, transactions};
pub(crate) use commit::{Committer, Genesis, OtherChannel};
pub use config::BlockCutting;
pub(crate) use config::{ChannelConfig, OrganizationConfig};
pub(crate) use history::History;
pub(crate) use orderer::{Orderer, OrdererGone};
pub(crate) use simulation::{CollectionUse, Needs, Results, ScanId, Simulation, SimulationError};
pub(crate) use state::{
    ChainSummary, CollectionName, LEDGER_FILE, Location, Metadata, OwnedPiece, Piece,
    PrivateWrites, Store, StoreError,
};
pub use state::{LedgerSnapshot, SnapshotError};
pub(crate) use validation::{Definition, Definitions, Opened, Validated, Validator};
