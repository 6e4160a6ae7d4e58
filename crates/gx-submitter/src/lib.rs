//! outbox-submitter: turns committed commands into ledger transactions.
//!
//! A step leases lanes, forms one batch, counts the try, has the batch endorsed, stores
//! the signed bytes, and sends them. It never waits for a commit: the projector settles
//! what blocks carry, and open attempts are sent again, the same bytes, until one does.
//! Whatever dies between any two of these steps, a command takes effect once.

mod envelope;
mod error;
mod gate;
mod resend;
mod run;
mod send;
mod settings;
mod submitter;
mod trouble;

pub use error::{Halt, SubmitterError};
pub use run::run;
pub use settings::{SettingsError, SubmitterSettings};
pub use submitter::{Parts, Progress, Signers, Submitter};
