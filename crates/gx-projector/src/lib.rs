//! projector: turns blocks into the read model.
//!
//! Blocks are applied whole, as many as have come, in one SQL transaction whose first
//! statement moves the checkpoint by compare-and-set: effects, event log, settlements and
//! checkpoint commit together or not at all. Every value of a projected row comes from the chain, so that a
//! rebuild gives equal rows. An event that cannot be applied becomes a dead letter that
//! holds back its aggregates only; losing every peer is a state, not an exit.

mod agreement;
mod block;
mod chores;
mod compare;
mod dead;
mod effects;
mod error;
mod events;
mod history;
mod intake;
mod leader;
mod place;
mod plan;
mod postcondition;
mod progress_line;
mod projector;
mod rare;
mod read;
mod rebuild;
mod reconcile;
mod replay;
mod run;
mod settings;
mod store;
mod verify;

pub use block::{Applied, Decode, Rules, apply_block, apply_blocks};
pub use compare::{Difference, differences};
pub use error::{Halt, ProjectorError};
pub use place::wallet_id;
pub use projector::{Parts, Progress, Projector};
pub use read::ReadBlock;
pub use rebuild::{
    RebuildError, RebuildProgress, RebuildReport, Rebuilder, RowDifference, Switch,
    TableDifferences,
};
pub use replay::{ReplayReport, Selection, StillHeld, replay_dead};
pub use run::run;
pub use settings::ProjectorSettings;
pub use verify::{
    Disagreement, FactDifference, Subject, Verification, Verifier, VerifyError, VerifyLimits,
};
