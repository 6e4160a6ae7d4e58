//! Failures of calls to the ledger, until a call of the same kind succeeds. The step of the
//! submitter records them, and `run` shows them in the check `submission`.

use gx_fabric_client::{LedgerError, OutcomeClass, Phase};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last failures. Each phase has its own, because a successful endorsement says nothing about
/// the orderer.
#[derive(Debug, Default)]
pub(crate) struct RecentFailures {
    endorse: Option<String>,
    submit: Option<String>,
    last: Option<Last>,
}

/// The last failure, kept also after it is resolved.
#[derive(Debug)]
struct Last {
    phase: Phase,
    class: OutcomeClass,
    message: String,
    at: OffsetDateTime,
}

impl RecentFailures {
    /// Records a failed call. A failure that one batch caused itself is only remembered as the last
    /// one.
    pub(crate) fn add(&mut self, phase: Phase, error: &LedgerError, at: OffsetDateTime) {
        let message = error.to_string();
        if !matches!(error.class, OutcomeClass::Refused | OutcomeClass::Conflict) {
            *self.of(phase) = Some(message.clone());
        }
        self.last = Some(Last { phase: error.phase, class: error.class, message, at });
    }

    /// Forgets the failure of this phase, because a call succeeded.
    pub(crate) fn resolve(&mut self, phase: Phase) {
        *self.of(phase) = None;
    }

    /// Forgets all failures, because nothing is left to send: what failed is in a block since, or
    /// was given up.
    pub(crate) fn resolve_all(&mut self) {
        (self.endorse, self.submit) = (None, None);
    }

    /// Returns the failure that is not resolved, if any.
    pub(crate) fn current(&self) -> Option<&str> {
        self.submit.as_deref().or(self.endorse.as_deref())
    }

    /// Returns the last failure, also if it is resolved, or JSON null if there was none.
    pub(crate) fn last(&self) -> Value {
        self.last.as_ref().map_or(Value::Null, |last| {
            json!({
                "phase": last.phase.name(),
                "class": last.class.name(),
                "message": last.message,
                "at": last.at.format(&Rfc3339).unwrap_or_default(),
            })
        })
    }

    fn of(&mut self, phase: Phase) -> &mut Option<String> {
        if phase == Phase::Submit { &mut self.submit } else { &mut self.endorse }
    }
}
