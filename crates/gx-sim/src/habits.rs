//! What happens how often in one seed: each seed leaves some faults out, so that the others
//! meet undisturbed.

use std::time::Duration;

use gx_outbox::{LANES, RetryPolicy};
use gx_submitter::SubmitterSettings;
use rand::rngs::StdRng;
use rand::{RngExt, seq::IndexedRandom};

/// One thing that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A worker takes one step of the protocol.
    Go,
    /// The orderer makes a block of what it has.
    Cut,
    /// A client asks for something new.
    Ask,
    /// A client repeats a request.
    Repeat,
    /// An operator retries or discards.
    Operate,
    /// A worker dies and is started again.
    Kill,
    /// A worker stops moving and another is started under its name; it wakes up later.
    Freeze,
    /// The orderer takes the next envelope and the answer is lost.
    LoseReply,
    /// The orderer acknowledges the next envelope and forgets it.
    Forget,
    /// The next endorsement fails.
    FailEndorsement,
    /// The next transaction is found invalid.
    Invalidate,
    /// An envelope of earlier reaches the orderer again, whatever has become of it.
    SendStale,
    /// Every block stream ends.
    CutStreams,
    /// The orderer, or the gateway, refuses everything for a while; or serves again.
    Outage,
    /// A worker's clock is wrong from here on.
    JumpClock,
    /// Time passes for everybody.
    PassTime,
    /// The leading projector's lock is lost while it believes that it leads.
    StealLead,
    /// The database is copied.
    BackUp,
    /// The database is put back to the copy; the workers die, or live through it.
    Restore,
}

/// Everything that happens, with its weight where a seed does not leave it out.
const WEIGHTS: [(Act, u32); 19] = [
    (Act::Go, 620),
    (Act::Cut, 90),
    (Act::Ask, 60),
    (Act::Repeat, 20),
    (Act::Operate, 8),
    (Act::Kill, 18),
    (Act::Freeze, 8),
    (Act::LoseReply, 12),
    (Act::Forget, 12),
    (Act::FailEndorsement, 10),
    (Act::Invalidate, 10),
    (Act::SendStale, 14),
    (Act::CutStreams, 8),
    (Act::Outage, 8),
    (Act::JumpClock, 8),
    (Act::PassTime, 40),
    (Act::StealLead, 6),
    (Act::BackUp, 10),
    (Act::Restore, 10),
];
/// Without these nothing would happen at all.
const ALWAYS: [Act; 4] = [Act::Go, Act::Cut, Act::Ask, Act::PassTime];

/// One seed's way of doing things.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    weights: Vec<(Act, u32)>,
    pub(crate) retry: RetryPolicy,
    lanes: u8,
    batch_commands: u16,
    batches: u8,
}

impl Habits {
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        let weights = WEIGHTS
            .into_iter()
            .filter(|(act, _)| ALWAYS.contains(act) || rng.random_bool(0.6))
            .collect();
        let tight = RetryPolicy {
            interrupted: 3,
            refused: 2,
            conflict: 4,
            unknown: 3,
            unavailable: 4,
            invalid: 2,
            ..RetryPolicy::default()
        };
        let retry = if rng.random_bool(0.4) { tight } else { RetryPolicy::default() };
        let lanes = *[1, 4, LANES].choose(rng).expect("there are some");
        let batch_commands = *[1, 2, 3, 500].choose(rng).expect("there are some");
        let batches = *[1, 2, 4].choose(rng).expect("there are some");
        Self { weights, retry, lanes, batch_commands, batches }
    }

    /// What happens next.
    pub(crate) fn next(&self, rng: &mut StdRng) -> Act {
        let (act, _) = self
            .weights
            .choose_weighted(rng, |(_, weight)| *weight)
            .expect("some weights are positive");
        *act
    }

    pub(crate) fn settings(&self, instance: &str) -> SubmitterSettings {
        SubmitterSettings {
            instance: instance.to_owned(),
            lease_ms: 30_000,
            resend_ms: 2_000,
            lanes: self.lanes,
            batch_commands: self.batch_commands,
            batches: self.batches,
            ..SubmitterSettings::default()
        }
    }
}

/// How much time passes at once.
pub(crate) fn some_time(rng: &mut StdRng) -> Duration {
    let millis = [5_u64, 60, 700, 5_000, 40_000, 300_000];
    Duration::from_millis(*millis.choose(rng).expect("there are some"))
}
