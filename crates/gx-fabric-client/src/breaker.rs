//! A circuit breaker: a peer that fails repeatedly gets no calls for a while.
//!
//! Each peer has one. A gateway call skips a peer whose breaker does not admit it; `Peer::call`
//! records how each call ended.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::LedgerError;

/// The state of a peer's circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Calls are made.
    Closed,
    /// No calls are made.
    Open,
    /// One call is made to find out whether the peer works again.
    HalfOpen,
}

/// Counts the failures of one peer and decides whether to call it.
#[derive(Debug)]
pub(crate) struct Circuit {
    failures_to_open: u32,
    open_for: Duration,
    /// Number of failures since the last usable answer.
    failures: u32,
    /// `None` while the breaker is closed.
    open_until: Option<Instant>,
    /// Until then no second probe is made. `None` if no probe is under way.
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

    /// Returns whether a call may be made now; in the half-open state only one probe may. A probe
    /// whose caller gave up delays the next probe only for as long as a failure would.
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

    /// Records a usable answer, which may be a refusal, and closes the breaker.
    pub(crate) fn answered(&mut self) {
        self.failures = 0;
        self.open_until = None;
        self.probing_until = None;
    }

    /// Records that the peer, or a server behind it, could not serve the call.
    pub(crate) fn failed(&mut self, error: &LedgerError, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.probing_until = None;
        self.last_error = Some(error.clone());
        if self.failures >= self.failures_to_open {
            self.open_until = Some(now + self.open_for);
        }
    }

    /// Replaces the last failure by one with more details.
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
    use crate::error::Phase;
    use crate::outcome_class::OutcomeClass;

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
