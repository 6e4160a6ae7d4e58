//! When a failed command is tried again, and when it is given up. [`crate::requeue`] asks for each
//! failure that it charges or delays.

use std::time::Duration;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Number of charged failures of class [`FailureClass::Unavailable`] from which on the delays grow
/// as for any other class.
const OWN_DOING_AFTER: u32 = 10;

/// Why a try failed. Each class has its own budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FailureClass {
    /// The end of the try was never recorded, because the submitter stopped before.
    Interrupted,
    /// The contract refused a whole batch, and this command was the last one in it.
    Refused,
    /// A read conflict in a block, or endorsements that differ.
    Conflict,
    /// No answer, or one that says nothing about the cause.
    Unknown,
    /// A peer was reached but could not serve the call, or it refused the identity. This is rarely
    /// the command's fault, so the budget lasts for hours.
    Unavailable,
    /// A block has the envelope with a validation code that is neither VALID nor a read conflict.
    Invalid,
    /// The database rejected what was to be written for this command.
    Storage,
}

impl FailureClass {
    /// All classes.
    pub const ALL: [Self; 7] = [
        Self::Interrupted,
        Self::Refused,
        Self::Conflict,
        Self::Unknown,
        Self::Unavailable,
        Self::Invalid,
        Self::Storage,
    ];

    /// Returns the name of the class: the key in `OutboxCommand.failures`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupted => "INTERRUPTED",
            Self::Refused => "REFUSED",
            Self::Conflict => "CONFLICT",
            Self::Unknown => "UNKNOWN",
            Self::Unavailable => "UNAVAILABLE",
            Self::Invalid => "INVALID",
            Self::Storage => "STORAGE",
        }
    }

    /// Returns the class with this name, or `None` if no class has it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

impl std::str::FromStr for FailureClass {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::from_name(name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|class| class.name()).collect();
            format!("must be one of {}", names.join(", "))
        })
    }
}

/// Delays that grow at random up to a cap, and a budget for each class: a number of failures and a
/// minimum age.
///
/// A failure is charged to a command only if it failed alone and another envelope succeeded
/// afterwards. If everything fails, nothing is charged; the submitter waits as a whole, so that a
/// backlog survives any outage.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The first delay is drawn from zero up to this.
    pub base: Duration,
    /// Longest delay.
    pub cap: Duration,
    /// Longest delay after [`FailureClass::Unavailable`], short so that a backlog is sent soon
    /// after.
    pub unavailable_cap: Duration,
    /// Charged failures of class [`FailureClass::Interrupted`] after which a command is given up.
    pub interrupted: u32,
    /// The same for [`FailureClass::Refused`].
    pub refused: u32,
    /// The same for [`FailureClass::Conflict`].
    pub conflict: u32,
    /// The same for [`FailureClass::Unknown`].
    pub unknown: u32,
    /// The same for [`FailureClass::Unavailable`].
    pub unavailable: u32,
    /// The same for [`FailureClass::Invalid`].
    pub invalid: u32,
    /// The same for [`FailureClass::Storage`].
    pub storage: u32,
    /// Time since its first failure of a class before which no command is given up.
    pub least_age: Duration,
    /// The same for [`FailureClass::Unavailable`]: an expired certificate can last a weekend.
    pub unavailable_least_age: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(60),
            unavailable_cap: Duration::from_secs(3),
            interrupted: 8,
            refused: 10,
            conflict: 30,
            unknown: 12,
            unavailable: 1_000,
            invalid: 5,
            storage: 5,
            least_age: Duration::from_secs(600),
            unavailable_least_age: Duration::from_secs(72 * 3_600),
        }
    }
}

impl RetryPolicy {
    /// Returns the number of failures of a class after which a command is given up, if the first of
    /// them is old enough.
    pub const fn budget(&self, class: FailureClass) -> u32 {
        match class {
            FailureClass::Interrupted => self.interrupted,
            FailureClass::Refused => self.refused,
            FailureClass::Conflict => self.conflict,
            FailureClass::Unknown => self.unknown,
            FailureClass::Unavailable => self.unavailable,
            FailureClass::Invalid => self.invalid,
            FailureClass::Storage => self.storage,
        }
    }

    /// Returns whether the budget of a class is spent: enough failures are charged, and the first
    /// one is old enough. If the clock was set back, the failures look younger and nothing is given
    /// up.
    pub fn is_spent(
        &self,
        class: FailureClass,
        charged: u32,
        first_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> bool {
        let least_age = match class {
            FailureClass::Unavailable => self.unavailable_least_age,
            _ => self.least_age,
        };
        charged >= self.budget(class) && now - first_at >= least_age
    }

    /// Returns a random delay after a failure of a class, between zero and `base` · 2ⁿ⁻¹ or the
    /// cap. n is the number of charged failures plus `in_a_row`, the number of uncharged ones, and
    /// at least 1.
    pub fn delay(
        &self,
        class: FailureClass,
        charged: u32,
        in_a_row: u32,
        rng: &mut impl Rng,
    ) -> Duration {
        let nth = charged.saturating_add(in_a_row).max(1);
        let cap = match class {
            FailureClass::Unavailable if charged < OWN_DOING_AFTER => self.unavailable_cap,
            _ => self.cap,
        };
        Duration::from_millis(rng.random_range(0..=self.longest_delay(nth, cap)))
    }

    /// Returns the longest delay, in milliseconds, that [`RetryPolicy::delay`] may return.
    fn longest_delay(&self, nth: u32, cap: Duration) -> u64 {
        let cap = u64::try_from(cap.as_millis()).unwrap_or(u64::MAX);
        let base = u64::try_from(self.base.as_millis()).unwrap_or(u64::MAX);
        let factor = 1_u64.checked_shl(nth.saturating_sub(1)).unwrap_or(u64::MAX);
        base.saturating_mul(factor).min(cap)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::macros::datetime;

    use super::{FailureClass, RetryPolicy};

    #[test]
    fn delays_double_up_to_the_cap_and_never_overflow() {
        let policy = RetryPolicy::default();
        let longest: Vec<u64> = [1, 2, 3, 10, 11, 64, 65, u32::MAX]
            .into_iter()
            .map(|nth| policy.longest_delay(nth, policy.cap))
            .collect();
        assert_eq!(longest, [100, 200, 400, 51_200, 60_000, 60_000, 60_000, 60_000]);
    }

    /// OUT-15: a budget is spent only if both its count and its minimum age are reached.
    #[test]
    fn a_budget_needs_its_count_and_its_time() {
        let policy = RetryPolicy::default();
        let first = datetime!(2026-06-01 12:00 UTC);
        let spent = |class, charged, after| {
            policy.is_spent(class, charged, first, first + Duration::from_secs(after))
        };
        assert!(!spent(FailureClass::Invalid, 500, 599));
        assert!(!spent(FailureClass::Invalid, 4, 60_000));
        assert!(spent(FailureClass::Invalid, 5, 600));
        assert!(!spent(FailureClass::Unavailable, u32::MAX, 60 * 3_600));
        assert!(spent(FailureClass::Unavailable, 1_000, 72 * 3_600));
        let before = first - Duration::from_secs(3_600);
        assert!(!policy.is_spent(FailureClass::Invalid, 500, first, before));
    }

    #[test]
    fn names_lead_back_to_their_classes() {
        for class in FailureClass::ALL {
            assert_eq!(FailureClass::from_name(class.name()), Some(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
