//! Commands on their way to the ledger: enqueue them in the caller's transaction, lease
//! their lanes, store what was signed, settle what the ledger answered, reschedule the rest.
//!
//! Two tables carry the protocol that makes a command take effect once. `OutboxCommand`
//! says what is wanted, one row a command; `LedgerAttempt` says what was signed, one row an
//! envelope. Services enqueue, the submitter claims and sends, the projector settles.
//! Nothing here knows how a ledger is spoken to.

mod archive;
mod attempt;
mod batch;
pub mod capability;
mod claim;
mod enqueue;
mod failure;
mod gate;
mod lane;
mod look;
mod operate;
mod probe;
mod retry;
mod settle;
mod store;
pub mod tasks;
pub mod tip;
mod tried;
mod verification;
mod wake;

pub use archive::{Archived, Archiver};
pub use attempt::{
    NewAttempt, OpenAttempt, Purpose, Reply, StoreRefusal, abandon, hasten_open, replied,
    store_attempt, take_due,
};
pub use batch::{Batch, BatchLimits, form};
pub use claim::{
    Lease, lease, next_due, open_touches, release, release_held, release_owner, renew,
};
pub use enqueue::{EnqueueError, Enqueued, NewCommand, enqueue};
pub use failure::{Fate, put_back, storable};
pub use gate::{Checkpoint, checkpoint, foreign_attempts};
pub use lane::{LANES, lane_of};
pub use look::{Due, Marks, due_commands};
pub use operate::{
    AttemptRow, Census, CommandFilter, CommandRow, Discarded, OperateError, attempts, census,
    command, count_by_status, discard, list, retry,
};
pub use probe::{Pass, Probe};
pub use retry::{FailureClass, RetryPolicy};
pub use settle::{
    Invalid, Judged, Settled, UserNotCreated, Verdict, Verdicts, prerequisites_arrived, settle,
};
pub use tried::{Try, charge_interrupted, fail, start, withdraw};
pub use verification::{Unverified, unverified, verified};
pub use wake::{Listener, Waker};
