//! How often each action happens in one seed. Each seed leaves some faults out, so that the others
//! can be seen without them. Some seeds have storms (see [`crate::storms`]). A run draws its rates
//! at the begin, and its next action before each step.

use std::time::Duration;

use gx_model::{DomainEvent, EventRecord, UnreadableEvent};
use gx_outbox::failure::RetryPolicy;
use gx_outbox::submitter::LANES;
use gx_projector::Decode;
use gx_submitter::SubmitterSettings;
use rand::rngs::StdRng;
use rand::{RngExt, seq::IndexedRandom};

use crate::storms::Storm;

/// An action that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A worker takes one step of the protocol.
    Go,
    /// The orderer makes a block of the envelopes that it has.
    Cut,
    /// A client sends a new request.
    Ask,
    /// A client repeats a request.
    Repeat,
    /// An operator retries or discards a command.
    Operate,
    /// A worker dies and is started again.
    Kill,
    /// A worker is frozen and another one is started with its name; it wakes up later.
    Freeze,
    /// The orderer takes the next envelope and the answer is lost.
    LoseReply,
    /// The orderer acknowledges the next envelope and loses it.
    Forget,
    /// The next endorsement fails.
    FailEndorsement,
    /// The next transaction is invalid.
    Invalidate,
    /// An earlier envelope reaches the orderer again, whatever its state is.
    SendStale,
    /// Every block stream ends.
    CutStreams,
    /// The orderer refuses everything for a while, or serves again.
    Outage,
    /// A worker's clock is wrong from now on.
    JumpClock,
    /// Time passes for all workers.
    PassTime,
    /// The leading projector's lock is lost while the projector assumes that it leads.
    StealLead,
    /// The database is copied.
    BackUp,
    /// The copy of the database is restored; the workers die, or keep running.
    Restore,
}

/// All actions with their weights, unless a seed leaves them out.
const WEIGHTS: [(Action, u32); 19] = [
    (Action::Go, 620),
    (Action::Cut, 90),
    (Action::Ask, 60),
    (Action::Repeat, 20),
    (Action::Operate, 8),
    (Action::Kill, 18),
    (Action::Freeze, 8),
    (Action::LoseReply, 12),
    (Action::Forget, 12),
    (Action::FailEndorsement, 10),
    (Action::Invalidate, 10),
    (Action::SendStale, 14),
    (Action::CutStreams, 8),
    (Action::Outage, 8),
    (Action::JumpClock, 8),
    (Action::PassTime, 40),
    (Action::StealLead, 6),
    (Action::BackUp, 10),
    (Action::Restore, 10),
];
/// Actions that no seed leaves out.
const ALWAYS: [Action; 4] = [Action::Go, Action::Cut, Action::Ask, Action::PassTime];

/// Longest time that passes at once in a seed with a stalled database, so that no command is
/// charged because a lease ended.
const SHORT_PASS_MS: u64 = 5_000;

/// The actions of one seed, with their weights, and its settings.
#[derive(Clone, Debug)]
pub(crate) struct FaultRates {
    weights: Vec<(Action, u32)>,
    passes_ms: Vec<u64>,
    pub(crate) retry: RetryPolicy,
    /// The storms, each with the step at which it begins.
    pub(crate) storms: Vec<(u32, Storm)>,
    /// The decoder of the projectors.
    pub(crate) decode: Decode,
    lanes: u8,
    batch_commands: u16,
    batches: u8,
}

impl FaultRates {
    /// Draws the rates of a seed for a run of `steps` steps.
    pub(crate) fn draw(rng: &mut StdRng, steps: u32) -> Self {
        let storms = Storm::draw_some(rng, steps);
        let is_stalled = storms.iter().any(|(_, storm)| storm.is_stall());
        let weights = WEIGHTS
            .into_iter()
            .filter(|(action, _)| ALWAYS.contains(action) || rng.random_bool(0.6))
            .filter(|(action, _)| !(is_stalled && *action == Action::JumpClock))
            .collect();
        let mut passes_ms = vec![5, 60, 700, 5_000, 40_000, 300_000];
        passes_ms.retain(|pass| !is_stalled || *pass <= SHORT_PASS_MS);
        // The checks after a storm expect the budgets of production.
        let is_tight = rng.random_bool(0.4) && storms.is_empty();
        let retry = if is_tight { tight() } else { RetryPolicy::default() };
        let lanes = *[1, 4, LANES].choose(rng).expect("there are some");
        let mut batch_commands = *[1, 2, 3, 500].choose(rng).expect("there are some");
        if storms.iter().any(|(_, storm)| matches!(storm, Storm::Forgetting { .. })) {
            // A crowd would take too many steps with small batches.
            batch_commands = 500;
        }
        let batches = *[1, 2, 4].choose(rng).expect("there are some");
        let decode: Decode =
            if rng.random_bool(0.1) { of_an_older_release } else { EventRecord::decode };
        Self { weights, passes_ms, retry, storms, decode, lanes, batch_commands, batches }
    }

    /// Returns whether the projectors of this seed cannot read an event.
    pub(crate) fn cannot_read(&self, record: &EventRecord) -> bool {
        (self.decode)(record).is_err()
    }

    /// Draws how much time passes at once.
    pub(crate) fn some_time(&self, rng: &mut StdRng) -> Duration {
        Duration::from_millis(*self.passes_ms.choose(rng).expect("there are some"))
    }

    /// Draws the next action.
    pub(crate) fn next(&self, rng: &mut StdRng) -> Action {
        let (action, _) = self
            .weights
            .choose_weighted(rng, |(_, weight)| *weight)
            .expect("some weights are positive");
        *action
    }

    /// Returns the settings of a submitter with this name.
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

/// Returns budgets that a few failures spend.
fn tight() -> RetryPolicy {
    RetryPolicy {
        interrupted: 3,
        refused: 2,
        conflict: 4,
        unknown: 3,
        unavailable: 4,
        invalid: 2,
        ..RetryPolicy::default()
    }
}

/// Reads an event like an older release that cannot read some payments and grants.
fn of_an_older_release(record: &EventRecord) -> Result<DomainEvent, UnreadableEvent> {
    let event = record.decode()?;
    let is_unknown = match &event {
        DomainEvent::TransferCompleted { amount, .. } => amount.get().to_string().starts_with('3'),
        DomainEvent::GenesisDistributed { country_users, .. } => country_users % 4 == 1,
        _ => false,
    };
    if is_unknown {
        return Err(UnreadableEvent::Unknown { name: event.name().to_owned(), version: 2 });
    }
    Ok(event)
}
