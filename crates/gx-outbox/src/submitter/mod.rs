//! What the submitter does with the outbox: it leases lanes, forms batches of due commands, counts
//! a try for each, stores the signed envelope and records what became of it.

mod archive;
mod attempt;
mod batch;
mod due;
mod lease;
mod purpose;
mod store;
mod tries;

pub use self::archive::{Archived, Archiver};
pub use self::attempt::{
    AttemptEnd, JudgedAttempt, NewAttempt, OpenAttempt, Reply, StoreOutcome, StoreRefusal,
    abandon_attempt, attempt_ends, foreign_attempts, judged_last, make_open_attempts_due, next_due,
    open_touches, record_reply, resolve_lost_commit, store_attempt, store_witness,
    take_due_attempts,
};
pub use self::batch::{Batch, BatchLimits, form_batches};
pub use self::due::{Due, GiveUp, Marks, begin, due_commands};
pub use self::lease::{Lease, LostLane, lease, lost_lanes, release, release_owner, renew};
pub use self::purpose::Purpose;
pub use self::tries::{
    Try, TryFailure, charge_interrupted, fail_try, start_try, withdraw_tries, withdraw_try,
};
pub use crate::held::{HeldSweep, Swept};
pub use crate::lane::{LANES, lane_of};
pub use crate::logged_ids::logged_ids;
pub use crate::requeue::{Blame, ChargeResult, LoneFailure, charge, undo_give_up};
pub use crate::stats::{OutboxStats, outbox_stats};
pub use crate::wake::Listener;
