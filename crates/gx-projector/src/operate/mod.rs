//! Carries out what operators ask of the projector, and what is due between blocks. Called by the
//! projector's step, by the reconciliation that `run` starts, and by `gx projection`.

mod adoption;
mod housekeeping;
mod rebuild;
mod reconcile;
mod replay;

pub(crate) use self::housekeeping::{request_replay_of_old_releases, run_housekeeping};
pub use self::rebuild::{
    Correction, RebuildError, RebuildProgress, RebuildReport, Rebuilder, RowDifference,
    TableDifferences,
};
pub(crate) use self::reconcile::Reconciler;
pub use self::replay::{ReplayReport, Selection, StillHeld, replay_dead};
