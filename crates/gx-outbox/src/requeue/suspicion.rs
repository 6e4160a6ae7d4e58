//! What the failures of a command say about the command itself.
//!
//! A failure that hits every command says nothing about one of them. A command that failed alone is
//! only suspected; it is charged after another envelope has been valid. The parent module reads and
//! writes the two columns; the submitter reads them to decide whether a command may be tried.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::failure::{FailureClass, RetryPolicy};

/// Content of `OutboxCommand.suspicion`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Suspicion {
    /// When the command was charged for the first time, by class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) since: BTreeMap<FailureClass, Moment>,
    /// The failure that the command met alone and that is not charged yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alone: Option<LoneFailure>,
    /// Number of failures in a row that the command met alone and that were not charged.
    #[serde(default)]
    pub(crate) times: u32,
}

/// A failure of a command that was tried alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoneFailure {
    /// Failure class.
    pub class: FailureClass,
    /// The error's text.
    pub message: String,
    /// Number of the block that has its envelope, or of the last block when the orderer refused the
    /// envelope for good; `None` if the try stored no envelope.
    pub block: Option<i64>,
}

/// A time, in JSON as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment(#[serde(with = "time::serde::rfc3339")] pub(crate) OffsetDateTime);

impl Suspicion {
    /// Reads the column. Content that this release cannot read counts as empty: that costs tries,
    /// but charges no command.
    pub(crate) fn read(json: Option<Value>) -> Self {
        json.and_then(|json| serde_json::from_value(json).ok()).unwrap_or_default()
    }

    /// Returns whether the command may be tried again before a later envelope shows who caused its
    /// failure. It may be after one failure, after up to three read conflicts, and never once it
    /// was charged.
    pub(crate) fn is_tried_at_once(&self) -> bool {
        let conflict = |alone: &LoneFailure| alone.class == FailureClass::Conflict;
        let most = if self.alone.as_ref().is_some_and(conflict) { 3 } else { 1 };
        self.since.is_empty() && self.times <= most
    }

    /// Returns the new content of the column, or `None` if it is empty.
    pub(crate) fn to_json(&self) -> Option<Value> {
        let is_empty = *self == Self::default();
        (!is_empty).then(|| serde_json::to_value(self).expect("its keys are texts"))
    }
}

/// Charged failures by class: content of `OutboxCommand.failures`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failures(Value);

impl Failures {
    pub(crate) fn new(json: Value) -> Self {
        Self(if json.is_object() { json } else { Value::Object(serde_json::Map::new()) })
    }

    /// Returns the number of charged failures of a class.
    pub(crate) fn of(&self, class: FailureClass) -> u32 {
        let count = self.0.get(class.name()).and_then(Value::as_u64).unwrap_or(0);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Charges one more failure of a class and returns their number.
    pub(crate) fn charge(&mut self, class: FailureClass) -> u32 {
        let count = self.of(class).saturating_add(1);
        self.0[class.name()] = count.into();
        count
    }

    /// Lowers each class to one failure below its budget, so that a command whose giving up was
    /// undone is tried, and given up after one more failure of its own.
    pub(crate) fn leave_one_failure(&mut self, policy: &RetryPolicy) {
        for class in FailureClass::ALL {
            let ceiling = policy.budget(class).saturating_sub(1);
            if self.of(class) > ceiling {
                self.0[class.name()] = ceiling.into();
            }
        }
    }

    pub(crate) fn into_json(self) -> Value {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_suspicion_is_read_back_as_it_was_written() {
        let mut suspicion = Suspicion { times: 2, ..Suspicion::default() };
        suspicion.since.insert(FailureClass::Invalid, Moment(datetime!(2026-06-01 12:00 UTC)));
        let (class, message) = (FailureClass::Conflict, "no".to_owned());
        suspicion.alone = Some(LoneFailure { class, message, block: Some(7) });
        let json = suspicion.to_json().unwrap();
        assert_eq!(json["since"], json!({ "INVALID": "2026-06-01T12:00:00Z" }));
        assert_eq!(json["alone"]["class"], "CONFLICT");
        assert_eq!(Suspicion::read(Some(json)), suspicion);
        assert_eq!(Suspicion::default().to_json(), None);
        assert_eq!(Suspicion::read(Some(json!({ "since": 7 }))), Suspicion::default());
    }

    #[test]
    fn after_an_undone_give_up_one_failure_is_left() {
        let policy = RetryPolicy { invalid: 5, conflict: 3, ..RetryPolicy::default() };
        let mut failures = Failures::new(json!({ "INVALID": 7, "CONFLICT": 1 }));
        failures.leave_one_failure(&policy);
        assert_eq!(failures.charge(FailureClass::Invalid), 5);
        assert_eq!(failures.into_json(), json!({ "INVALID": 5, "CONFLICT": 1 }));
    }
}
