//! The projector: makes the read model from the blocks of the ledger.
//!
//! All blocks that have come are applied in one SQL transaction, whose first statement moves the
//! checkpoint by compare-and-set. Effects, event log, settlements and checkpoint commit together or
//! not at all.
//!
//! Every value of a projected row comes from the chain, so that a rebuild makes equal rows. Each
//! fact is stored with the place of the event that wrote it, and an older event never overwrites a
//! newer fact. So an event that cannot be applied becomes a dead letter and holds back no other. If
//! no peer can be reached, the projector keeps running and tries again.
//!
//! `gx projector` calls [`run()`]; tests and the simulation call [`Projector::step`].

mod apply;
mod block_limit;
mod check;
mod context;
mod error;
mod history;
mod leader;
mod operate;
mod place;
mod progress_line;
mod projector;
mod run;
mod settings;

pub use apply::{Applied, ApplySettings, Decode, ReadBlock, apply_block, apply_blocks};
pub use check::{
    Difference, Disagreement, FactDifference, Subject, Verification, Verifier, VerifyError,
    VerifyLimits, differences,
};
pub use context::ProjectorContext;
pub use error::{Halt, ProjectorError};
pub use leader::LeadSettings;
pub use operate::{
    Correction, RebuildError, RebuildProgress, RebuildReport, Rebuilder, ReplayReport,
    RowDifference, Selection, StillHeld, TableDifferences, replay_dead,
};
pub use place::wallet_id;
pub use projector::{Progress, Projector};
pub use run::run;
pub use settings::ProjectorSettings;
