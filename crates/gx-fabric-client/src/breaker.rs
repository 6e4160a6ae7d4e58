//! A circuit breaker: a peer that fails again and again is left alone for a while.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::LedgerError;

/// Whether a peer is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Calls go through.
    Closed,
    /// Calls are kept away.
    Open,
    /// One call goes through to find out whether the peer is back.
    HalfOpen,
}

/// Counts the failures of one peer.
#[derive(Debug)]
pub(crate) struct Circuit {
    failures_to_open: u32,
    open_for: Duration,
    failures: u32,
    open_until: Option<Instant>,
    probing_until: Option<Instant>,
    last_error: Option<LedgerError>,
}

impl Circuit {
    pub(crate) fn new(failures_to_open: u32, open_for: Duration) -> Self {
        Self {
            failures_to_open,
            open_for,
            failures: 0,
            open_until: None,
            probing_until: None,
            last_error: None,
        }
    }

    pub(crate) fn state(&self, now: Instant) -> Breaker {
        match self.open_until {
            None => Breaker::Closed,
            Some(until) if now < until => Breaker::Open,
            Some(_) => Breaker::HalfOpen,
        }
    }

    /// Whether a call may go out now. A probe whose caller gave up blocks others only for
    /// as long as the breaker stays open after a failure.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        match self.state(now) {
            Breaker::Closed => true,
            Breaker::Open => false,
            Breaker::HalfOpen => {
                let free = self.probing_until.is_none_or(|until| now >= until);
                if free {
                    self.probing_until = Some(now + self.open_for);
                }
                free
            }
        }
    }

    /// The peer gave a usable answer, were it a refusal.
    pub(crate) fn answered(&mut self) {
        self.failures = 0;
        self.open_until = None;
        self.probing_until = None;
    }

    /// The peer, or what stands behind it, could not serve.
    pub(crate) fn failed(&mut self, error: &LedgerError, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.probing_until = None;
        self.last_error = Some(error.clone());
        if self.failures >= self.failures_to_open {
            self.open_until = Some(now + self.open_for);
        }
    }

    /// Says more of the last failure.
    pub(crate) fn remember(&mut self, error: &LedgerError) {
        self.last_error = Some(error.clone());
    }

    pub(crate) fn last_error(&self) -> Option<&LedgerError> {
        self.last_error.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{OutcomeClass, Phase};

    const OPEN_FOR: Duration = Duration::from_secs(5);

    fn unavailable() -> LedgerError {
        LedgerError::local(Phase::Submit, OutcomeClass::Unavailable, "nobody there")
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_call_probe() {
        let start = Instant::now();
        let mut circuit = Circuit::new(2, OPEN_FOR);
        circuit.failed(&unavailable(), start);
        circuit.answered();
        circuit.failed(&unavailable(), start);
        assert_eq!(circuit.state(start), Breaker::Closed, "the failures were not in a row");

        circuit.failed(&unavailable(), start);
        assert_eq!(circuit.state(start), Breaker::Open);
        assert!(!circuit.admit(start));

        let later = start + OPEN_FOR;
        assert_eq!(circuit.state(later), Breaker::HalfOpen);
        assert!(circuit.admit(later));
        assert!(!circuit.admit(later), "only one call probes");

        circuit.failed(&unavailable(), later);
        assert_eq!(circuit.state(later), Breaker::Open, "one failed probe opens it again");
        assert!(circuit.admit(later + OPEN_FOR));
        circuit.answered();
        assert_eq!(circuit.state(later + OPEN_FOR), Breaker::Closed);
    }

    #[test]
    fn an_abandoned_probe_does_not_block_for_ever() {
        let start = Instant::now();
        let mut circuit = Circuit::new(1, OPEN_FOR);
        circuit.failed(&unavailable(), start);
        assert!(circuit.admit(start + OPEN_FOR));
        assert!(circuit.admit(start + OPEN_FOR * 2));
    }
}
