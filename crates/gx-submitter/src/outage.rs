//! Outages: everything that is tried fails. Then no command is to blame, and the submitter tries
//! one command at a time, at growing intervals, until one succeeds. `shared_state` has a detector
//! for each step of sending.
//!
//! ```text
//!             one fails             another fails
//! working ───────────────► in doubt ─────────────► outage ──┐
//!    ▲                        │                      │  ▲   │ the next probe fails:
//!    └────── one succeeds ────┴──────────────────────┘  └───┘ a longer wait
//! ```

use std::time::Duration;

use gx_db::{StoredCommandId, TxId};
use gx_model::SignerRole;
use rand::{Rng, RngExt};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::evidence::AllInvalid;

/// Longest wait before the first probe; it doubles with each probe that fails.
const FIRST_PROBE_WAIT: Duration = Duration::from_millis(200);
/// Longest wait before a probe. A wait is at least half of its limit, so that there are few probes.
pub(crate) const MAX_PROBE_WAIT: Duration = Duration::from_secs(30);
/// Number of different commands in a row that fail alone from which on there is an outage.
const LONE_FAILURES: u32 = 2;
/// The same for batches of several commands, each of which may contain the cause.
const GROUP_FAILURES: u32 = 8;

/// An outage: everything fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    /// A code for programs: a validation code, or a class of failures.
    pub(crate) code: String,
    /// The last error.
    pub(crate) why: String,
    /// When the first of these failures was seen.
    pub(crate) since: OffsetDateTime,
    /// Number of failures.
    pub(crate) failures: u32,
    /// Number of times that the outage was found to continue. Batches that are in flight together
    /// fail together and count once.
    rounds: u32,
    /// When the next command is tried.
    pub(crate) probe_at: OffsetDateTime,
    /// Id of the newest failed transaction, if the outage is one of validation.
    newest: Option<TxId>,
}

/// A failure of a try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenFailure<'a> {
    /// The command, if it was tried alone.
    pub(crate) alone: Option<&'a StoredCommandId>,
    /// The signer of the envelope, whether or not it was signed.
    pub(crate) signer: SignerRole,
    /// A code for programs: a class of failures.
    pub(crate) code: &'a str,
    /// The error.
    pub(crate) why: &'a str,
    /// Longest wait that this failure may cause.
    pub(crate) max_wait: Duration,
}

/// Detects outages of one step: endorsing, storing, or validation.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutageDetector {
    /// Failures in a row: of different commands that were alone, and of batches with several.
    lone: u32,
    groups: u32,
    first_at: Option<OffsetDateTime>,
    last_alone: Option<StoredCommandId>,
    outage: Option<Outage>,
}

impl OutageDetector {
    /// Records a failure. If the same command fails alone again, that counts only during an outage.
    pub(crate) fn failed(
        &mut self,
        failure: SeenFailure<'_>,
        rng: &mut impl Rng,
        now: OffsetDateTime,
    ) {
        match failure.alone {
            Some(id) if self.outage.is_none() && self.last_alone.as_ref() == Some(id) => return,
            Some(id) => {
                self.lone = self.lone.saturating_add(1);
                self.last_alone = Some(id.clone());
            }
            None => self.groups = self.groups.saturating_add(1),
        }
        let since = *self.first_at.get_or_insert(now);
        if self.outage.is_none() && self.lone < LONE_FAILURES && self.groups < GROUP_FAILURES {
            return;
        }
        let rounds = self.outage.as_ref().map_or(1, |known| known.rounds.saturating_add(1));
        self.outage = Some(Outage {
            code: failure.code.to_owned(),
            why: failure.why.to_owned(),
            since,
            failures: self.lone.saturating_add(self.groups),
            rounds,
            probe_at: now + wait(rounds, failure.max_wait, rng),
            newest: None,
        });
    }

    /// Records a success, which ends an outage.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Takes over what the last validated envelopes say: an outage, or none.
    pub(crate) fn update(
        &mut self,
        all_invalid: Option<AllInvalid>,
        rng: &mut impl Rng,
        now: OffsetDateTime,
    ) {
        let Some(all_invalid) = all_invalid else { return self.succeeded() };
        let newest = Some(all_invalid.newest);
        if self.outage.as_ref().is_some_and(|known| known.newest == newest) {
            return;
        }
        let known = self.outage.as_ref();
        // The window of envelopes may no longer contain the first failures.
        let since = known.map_or(all_invalid.since, |known| known.since);
        let failures = known.map_or(0, |known| known.failures.saturating_add(1));
        let rounds = known.map_or(1, |known| known.rounds.saturating_add(1));
        self.outage = Some(Outage {
            why: format!("no transaction is valid: {}", all_invalid.code),
            code: all_invalid.code,
            since,
            failures: failures.max(all_invalid.failures),
            rounds,
            probe_at: now + wait(rounds, MAX_PROBE_WAIT, rng),
            newest,
        });
    }

    /// Returns the outage, or `None` if there is none.
    pub(crate) fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }
}

/// Returns a random wait between half of a limit and the limit, which doubles with each failure.
fn wait(nth: u32, longest: Duration, rng: &mut impl Rng) -> Duration {
    let factor = 1_u32.checked_shl(nth.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = FIRST_PROBE_WAIT.saturating_mul(factor).min(longest);
    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.random_range(longest / 2..=longest))
}

impl Outage {
    /// Returns whether the next command may not be tried yet. If the clock was set back and the
    /// wait looks too long, it is over.
    pub(crate) fn waits(&self, now: OffsetDateTime) -> bool {
        now < self.probe_at && self.probe_at - now <= MAX_PROBE_WAIT
    }

    /// Returns the text for operators.
    pub(crate) fn summary(&self) -> String {
        let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        format!(
            "nothing has succeeded since {}; the next command is tried at {}: {}",
            text(self.since),
            text(self.probe_at),
            self.why
        )
    }

    /// Returns the value for the health check.
    pub(crate) fn to_json(&self) -> Value {
        let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        json!({
            "code": self.code,
            "since": text(self.since),
            "failures": self.failures,
            "nextProbe": text(self.probe_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);

    fn failed(detector: &mut OutageDetector, alone: Option<&str>, now: OffsetDateTime) {
        let (code, why, max_wait) = ("REFUSED", "no", MAX_PROBE_WAIT);
        let alone = alone.map(|id| StoredCommandId::from(id.to_owned()));
        let alone = alone.as_ref();
        let failure = SeenFailure { alone, signer: SignerRole::Admin, code, why, max_wait };
        detector.failed(failure, &mut StdRng::seed_from_u64(1), now);
    }

    /// OUT-15: two different commands that fail alone are an outage, and a success ends it.
    #[test]
    fn two_lone_failures_in_a_row_are_an_outage() {
        let mut detector = OutageDetector::default();
        failed(&mut detector, Some("a"), NOW);
        failed(&mut detector, Some("a"), NOW);
        assert_eq!(detector.outage(), None);
        detector.succeeded();
        failed(&mut detector, Some("b"), NOW);
        assert_eq!(detector.outage(), None);
        failed(&mut detector, Some("c"), NOW + Duration::from_secs(1));
        let outage = detector.outage().unwrap();
        assert_eq!((outage.since, outage.code.as_str()), (NOW, "REFUSED"));
        detector.succeeded();
        assert_eq!(detector.outage(), None);
    }

    #[test]
    fn batches_that_all_fail_are_an_outage() {
        let mut detector = OutageDetector::default();
        for _ in 1..GROUP_FAILURES {
            failed(&mut detector, None, NOW);
        }
        assert_eq!(detector.outage(), None);
        failed(&mut detector, None, NOW);
        assert!(detector.outage().is_some());
    }

    /// OUT-15: probes become rare; there are few of them in two minutes, and the next one is never
    /// far away.
    #[test]
    fn probes_become_rare() {
        let (mut detector, mut now, mut probes) = (OutageDetector::default(), NOW, 0);
        failed(&mut detector, Some("a"), now);
        failed(&mut detector, Some("b"), now);
        while now < NOW + Duration::from_secs(120) {
            let outage = detector.outage().unwrap();
            assert!(outage.probe_at - now <= MAX_PROBE_WAIT);
            now = outage.probe_at;
            // The only command that is left fails again.
            failed(&mut detector, Some("b"), now);
            probes += 1;
        }
        assert!((8..=16).contains(&probes), "{probes}");
    }

    /// OUT-15: each validation code counts once, however often it is read.
    #[test]
    fn each_validation_code_counts_once() {
        let mut rng = StdRng::seed_from_u64(1);
        let all_invalid = |newest: &str, failures| AllInvalid {
            code: "BAD_PAYLOAD".to_owned(),
            newest: newest.to_owned().into(),
            since: NOW,
            failures,
        };
        let mut detector = OutageDetector::default();
        detector.update(Some(all_invalid("x", 4)), &mut rng, NOW);
        let first = detector.outage().unwrap().clone();
        assert!(first.probe_at - NOW <= FIRST_PROBE_WAIT);
        assert_eq!(first.failures, 4);
        detector.update(Some(all_invalid("x", 4)), &mut rng, NOW + Duration::from_secs(9));
        assert_eq!(detector.outage(), Some(&first));
        assert!(!first.waits(first.probe_at));
        assert!(first.waits(NOW));
        assert!(!first.waits(NOW - Duration::from_secs(3_600)), "the clock was set back");
        detector.update(Some(all_invalid("y", 5)), &mut rng, NOW);
        assert!(detector.outage().unwrap().probe_at - NOW >= FIRST_PROBE_WAIT);
        detector.update(None, &mut rng, NOW);
        assert_eq!(detector.outage(), None);
    }
}
