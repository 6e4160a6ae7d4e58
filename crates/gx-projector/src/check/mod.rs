//! Compares the read model, the database and the ledger, and reports what differs. Called by `run`,
//! by `operate`, and by `gx projection verify`.

mod commit_hashes;
mod constants;
mod postcondition;
mod verify;

pub(crate) use self::commit_hashes::CommitHashCheck;
pub use self::constants::{Difference, differences};
pub(crate) use self::postcondition::missing;
pub use self::verify::{
    Disagreement, FactDifference, Subject, Verification, Verifier, VerifyError, VerifyLimits,
};
