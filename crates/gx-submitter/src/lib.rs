//! outbox-submitter: turns committed commands into ledger transactions.
//!
//! A step leases lanes, forms batches, counts their tries, has each batch endorsed, stores
//! the signed bytes, and sends them, the batches side by side. It never waits for a commit: the projector settles
//! what blocks carry, and open attempts are sent again, the same bytes, until one does.
//! Whatever dies between any two of these steps, a command takes effect once.

mod archive;
mod claim;
mod envelope;
mod error;
mod gate;
mod resend;
mod run;
mod send;
mod settings;
mod standing;
mod submitter;
mod trouble;

pub use error::{Halt, SubmitterError};
pub use run::run;
pub use settings::{SettingsError, SubmitterSettings};
pub use submitter::{Parts, Progress, Signers, Submitter};
