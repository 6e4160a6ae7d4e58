//! What the ledger did not do, until it does it again.

use gx_fabric_client::{LedgerError, OutcomeClass, Phase};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last failures. An endorsement that works says nothing about the orderer, so that each
/// phase has its own.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    endorse: Option<String>,
    submit: Option<String>,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    phase: Phase,
    class: OutcomeClass,
    message: String,
    at: OffsetDateTime,
}

impl Troubles {
    /// A call of this phase failed. What only one batch brought upon itself is remembered,
    /// and no trouble.
    pub(crate) fn add(&mut self, phase: Phase, error: &LedgerError, at: OffsetDateTime) {
        let message = error.to_string();
        if !matches!(error.class, OutcomeClass::Refused | OutcomeClass::Conflict) {
            *self.of(phase) = Some(message.clone());
        }
        self.last = Some(Last { phase: error.phase, class: error.class, message, at });
    }

    /// A call of this phase worked.
    pub(crate) fn over(&mut self, phase: Phase) {
        *self.of(phase) = None;
    }

    /// Nothing is left that the ledger should do: what it did not do has been seen on the chain
    /// since, or was given up.
    pub(crate) fn all_over(&mut self) {
        (self.endorse, self.submit) = (None, None);
    }

    /// What does not work now.
    pub(crate) fn now(&self) -> Option<&str> {
        self.submit.as_deref().or(self.endorse.as_deref())
    }

    /// The last failure, also one that is over.
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
