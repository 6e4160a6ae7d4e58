//! How the ledger fares, as the batches that are under way side by side see it together.

use std::time::Duration;

use gx_fabric_client::{LedgerError, Phase};
use rand::RngExt;
use rand::rngs::StdRng;
use time::OffsetDateTime;

use crate::trouble::Troubles;

/// The first pause after the ledger was unavailable is at most this long; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What the batches share.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) rng: StdRng,
    pub(crate) troubles: Troubles,
    pause: Option<Pause>,
    recheck: bool,
}

/// The ledger is left alone for a while.
#[derive(Debug)]
struct Pause {
    until: OffsetDateTime,
    /// Failures in a row.
    failures: u32,
    why: String,
}

impl Standing {
    pub(crate) fn new(rng: StdRng) -> Self {
        Self { rng, troubles: Troubles::default(), pause: None, recheck: false }
    }

    /// Until when the ledger is left alone, and why. A pause that a clock set back made
    /// longer than any is over.
    pub(crate) fn pause(&self, now: OffsetDateTime) -> Option<(OffsetDateTime, String)> {
        self.pause
            .as_ref()
            .filter(|pause| now < pause.until && pause.until - now <= LONGEST_PAUSE)
            .map(|pause| (pause.until, pause.why.clone()))
    }

    /// Leaves the ledger alone for a while, longer after each failure in a row, and has its
    /// genesis block compared again afterwards. What fails while it is left alone already
    /// belongs to the same failure.
    pub(crate) fn begin_pause(&mut self, error: &LedgerError, now: OffsetDateTime) {
        self.recheck = true;
        if self.pause(now).is_some() {
            return;
        }
        let in_a_row = self.pause.as_ref().filter(|last| {
            // What failed long ago says nothing about now.
            (now - last.until).unsigned_abs() < LONGEST_PAUSE * 4
        });
        let failures = in_a_row.map_or(1, |last| last.failures.saturating_add(1));
        let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
        let longest = FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        let pause = Duration::from_millis(self.rng.random_range(0..=longest));
        self.pause = Some(Pause { until: now + pause, failures, why: error.to_string() });
    }

    /// Whether the ledger was left alone since the last call.
    pub(crate) fn take_recheck(&mut self) -> bool {
        std::mem::take(&mut self.recheck)
    }

    /// The ledger carried out what this phase asks of it.
    pub(crate) fn answered(&mut self, phase: Phase) {
        self.pause = None;
        self.troubles.over(phase);
    }
}
