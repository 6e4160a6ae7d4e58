//! Ledger state shared by all batches in flight: backoffs, outages, suspects and skipped commands.
//!
//! Sending, storing and resending record results here. The claim asks how much may be tried, and
//! `run` shows outages and failures in the check `submission`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use gx_db::{StoredCommandId, TxId};
use gx_fabric_client::{LedgerError, Phase};
use gx_model::SignerRole;
use rand::RngExt;
use rand::rngs::StdRng;
use time::OffsetDateTime;

use crate::evidence::Evidence;
use crate::outage::{Outage, OutageDetector, SeenFailure};
use crate::recent_failures::RecentFailures;
use crate::suspects::{Step, Suspects};

/// Longest first backoff after the ledger was unavailable; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Longest backoff.
pub(crate) const MAX_BACKOFF: Duration = Duration::from_secs(3);
/// How soon to look again whether open attempts have ended.
const RESULT_WAIT: Duration = Duration::from_millis(100);
/// Limit of the commands that are remembered because no peer endorsed their batch.
const MAX_NOT_ENDORSED: usize = 10_000;
/// Shortest time between two witnesses while other envelopes are in flight.
const WITNESS_GAP: Duration = Duration::from_secs(5);
/// How long a command is skipped whose row cannot be written.
const SKIP_TIME: Duration = Duration::from_secs(60);

/// State that the batches share.
#[derive(Debug)]
pub(crate) struct SharedState {
    pub(crate) rng: StdRng,
    pub(crate) recent_failures: RecentFailures,
    pub(crate) suspects: Suspects,
    /// Numbers of tries of this process whose end the database did not record.
    pub(crate) unfinished_tries: Vec<i64>,
    backoff: Option<Backoff>,
    /// Whether the chain must be compared again before anything is sent.
    recheck: bool,
    endorsing: OutageDetector,
    storing: OutageDetector,
    validity: OutageDetector,
    /// Commands of batches that no peer endorsed.
    not_endorsed: HashSet<StoredCommandId>,
    /// When the last witness was sent.
    witnessed_at: Option<OffsetDateTime>,
    /// Commands that are skipped, and until when.
    skipped_until: HashMap<StoredCommandId, OffsetDateTime>,
}

/// The submitter does not call the ledger until a time.
#[derive(Debug)]
struct Backoff {
    /// The phase that failed: endorse or submit. The backoff ends when that phase succeeds.
    phase: Phase,
    until: OffsetDateTime,
    /// Number of failures in a row.
    failures: u32,
    why: String,
}

/// How much may be tried now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// As many batches as there are.
    All,
    /// One command, to see whether anything succeeds again.
    Probe,
    /// Nothing before this time.
    None {
        /// When the next command may be tried.
        until: OffsetDateTime,
        /// The last error.
        why: String,
    },
}

impl SharedState {
    pub(crate) fn new(rng: StdRng) -> Self {
        Self {
            rng,
            recent_failures: RecentFailures::default(),
            suspects: Suspects::default(),
            unfinished_tries: Vec::new(),
            backoff: None,
            recheck: false,
            endorsing: OutageDetector::default(),
            storing: OutageDetector::default(),
            validity: OutageDetector::default(),
            not_endorsed: HashSet::new(),
            witnessed_at: None,
            skipped_until: HashMap::new(),
        }
    }

    /// Returns when the backoff ends and why it began, or `None` if there is none now. If the clock
    /// was set back and the backoff looks too long, it is over.
    pub(crate) fn backoff(&self, now: OffsetDateTime) -> Option<(OffsetDateTime, String)> {
        self.backoff
            .as_ref()
            .filter(|backoff| now < backoff.until && backoff.until - now <= MAX_BACKOFF)
            .map(|backoff| (backoff.until, backoff.why.clone()))
    }

    /// Begins a backoff, longer after each failure in a row, and has the chain compared again
    /// afterwards. A failure during a backoff belongs to the same outage and does not prolong it.
    pub(crate) fn begin_backoff(&mut self, phase: Phase, error: &LedgerError, now: OffsetDateTime) {
        self.recheck = true;
        if self.backoff(now).is_some() {
            return;
        }
        let in_a_row = self.backoff.as_ref().filter(|last| {
            // A failure long ago says nothing about now.
            (now - last.until).unsigned_abs() < MAX_BACKOFF * 4
        });
        let failures = in_a_row.map_or(1, |last| last.failures.saturating_add(1));
        let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
        let longest = FIRST_BACKOFF.saturating_mul(factor).min(MAX_BACKOFF);
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        let until = now + Duration::from_millis(self.rng.random_range(0..=longest));
        self.backoff = Some(Backoff { phase, until, failures, why: error.to_string() });
    }

    /// Returns whether a backoff has begun since the last call.
    pub(crate) fn take_recheck(&mut self) -> bool {
        std::mem::take(&mut self.recheck)
    }

    /// Records that a call of this phase succeeded.
    pub(crate) fn answered(&mut self, phase: Phase) {
        let is_over = |backoff: &Backoff| [phase, Phase::Connect].contains(&backoff.phase);
        self.backoff = self.backoff.take().filter(|backoff| !is_over(backoff));
        self.recent_failures.resolve(phase);
    }

    /// Records that an envelope passed a step.
    pub(crate) fn passed(&mut self, step: Step, signer: SignerRole, tx_id: &TxId) {
        self.detector(step).succeeded();
        self.suspects.passed(step, signer, tx_id);
    }

    /// Records a failure at a step and returns whether there is an outage now.
    pub(crate) fn failed(
        &mut self,
        step: Step,
        failure: SeenFailure<'_>,
        now: OffsetDateTime,
    ) -> bool {
        self.suspects.failed(step, failure.alone.map(|id| (id, failure.signer)));
        let detector = match step {
            Step::Endorse => &mut self.endorsing,
            Step::Store => &mut self.storing,
        };
        detector.failed(failure, &mut self.rng, now);
        detector.outage().is_some()
    }

    fn detector(&mut self, step: Step) -> &mut OutageDetector {
        match step {
            Step::Endorse => &mut self.endorsing,
            Step::Store => &mut self.storing,
        }
    }

    /// Takes over what the last envelopes say, and returns how much may be tried now.
    pub(crate) fn allowance(&mut self, evidence: &Evidence, now: OffsetDateTime) -> Allowance {
        self.validity.update(evidence.all_invalid(), &mut self.rng, now);
        if let Some(Outage { probe_at, why, .. }) = self.outage().filter(|one| one.waits(now)) {
            return Allowance::None { until: *probe_at, why: why.clone() };
        }
        let submits = self.backoff.as_ref().is_none_or(|backoff| backoff.phase != Phase::Submit);
        if evidence.open > 0 && (self.validity.outage().is_some() || !submits) {
            // Open attempts, which are sent again, show whether anything succeeds.
            let why = "open transactions have not been validated yet".to_owned();
            return Allowance::None { until: now + RESULT_WAIT, why };
        }
        let has_failed = self.outage().is_some() || self.backoff.is_some();
        if has_failed { Allowance::Probe } else { Allowance::All }
    }

    /// Returns the outage whose next probe is last, or `None` if there is none.
    pub(crate) fn outage(&self) -> Option<&Outage> {
        let all = [&self.endorsing, &self.storing, &self.validity];
        all.into_iter().filter_map(OutageDetector::outage).max_by_key(|outage| outage.probe_at)
    }

    /// Records that no peer endorsed a batch. Returns whether that happened to one of its commands
    /// before, because then a command may be the reason.
    pub(crate) fn record_not_endorsed(&mut self, ids: &[StoredCommandId]) -> bool {
        let again = ids.iter().any(|id| self.not_endorsed.contains(id));
        if again || self.not_endorsed.len() + ids.len() > MAX_NOT_ENDORSED {
            self.not_endorsed.clear();
        }
        self.not_endorsed.extend(ids.iter().cloned());
        again
    }

    /// Records that commands were stored in an envelope.
    pub(crate) fn record_stored(&mut self, ids: &[StoredCommandId]) {
        if !self.not_endorsed.is_empty() {
            ids.iter().for_each(|id| {
                self.not_endorsed.remove(id);
            });
        }
    }

    /// Returns whether a witness may be sent, and records that it is. While other envelopes are in
    /// flight, one may be sent every [`WITNESS_GAP`].
    pub(crate) fn may_witness(&mut self, others: bool, now: OffsetDateTime) -> bool {
        let is_soon = self.witnessed_at.is_some_and(|at| (now - at).unsigned_abs() < WITNESS_GAP);
        let may = !(others && is_soon);
        if may {
            self.witnessed_at = Some(now);
        }
        may
    }

    /// Skips a command for a while.
    pub(crate) fn skip(&mut self, command_id: &StoredCommandId, now: OffsetDateTime) {
        self.skipped_until.insert(command_id.clone(), now + SKIP_TIME);
    }

    /// Returns whether a command is skipped.
    pub(crate) fn is_skipped(&mut self, command_id: &StoredCommandId, now: OffsetDateTime) -> bool {
        // If the clock was set back, the time is over, too.
        self.skipped_until.retain(|_, until| now < *until && *until - now <= SKIP_TIME);
        self.skipped_until.contains_key(command_id)
    }
}
