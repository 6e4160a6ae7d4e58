//! When a failed command is tried again, and when no more.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Why a try failed. Each class has a budget of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// The try began and its end was never recorded: the submitter stopped in between.
    Interrupted,
    /// The contract refused a batch whole, of which this command was the last one left.
    Refused,
    /// A read conflict in the block, or endorsements that differ.
    Conflict,
    /// No answer, or one that says nothing.
    Unknown,
    /// A peer was reached and could not serve, or refused the identity: hardly ever the
    /// command's fault, so the budget is for hours.
    Unavailable,
    /// In a block with a validation code that is neither valid nor a conflict.
    Invalid,
}

impl FailureClass {
    /// Every class.
    pub const ALL: [Self; 6] = [
        Self::Interrupted,
        Self::Refused,
        Self::Conflict,
        Self::Unknown,
        Self::Unavailable,
        Self::Invalid,
    ];

    /// The key in `OutboxCommand.failures`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupted => "INTERRUPTED",
            Self::Refused => "REFUSED",
            Self::Conflict => "CONFLICT",
            Self::Unknown => "UNKNOWN",
            Self::Unavailable => "UNAVAILABLE",
            Self::Invalid => "INVALID",
        }
    }
}

/// Growing delays with full jitter, a cap, and a budget of tries per class.
///
/// A ledger to which no connection can be made spends none of them: then the submitter
/// waits as a whole, and a backlog survives any outage.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The first delay is drawn from nothing up to this.
    pub base: Duration,
    /// No delay is longer.
    pub cap: Duration,
    /// The same after [`FailureClass::Unavailable`], so that a backlog moves soon after.
    pub unavailable_cap: Duration,
    /// Failures of class [`FailureClass::Interrupted`] that make a command dead.
    pub interrupted: u32,
    /// Of [`FailureClass::Refused`].
    pub refused: u32,
    /// Of [`FailureClass::Conflict`].
    pub conflict: u32,
    /// Of [`FailureClass::Unknown`].
    pub unknown: u32,
    /// Of [`FailureClass::Unavailable`].
    pub unavailable: u32,
    /// Of [`FailureClass::Invalid`].
    pub invalid: u32,
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
            unavailable: 15_000,
            invalid: 5,
        }
    }
}

impl RetryPolicy {
    /// Failures of a class after which a command is given up.
    pub const fn budget(&self, class: FailureClass) -> u32 {
        match class {
            FailureClass::Interrupted => self.interrupted,
            FailureClass::Refused => self.refused,
            FailureClass::Conflict => self.conflict,
            FailureClass::Unknown => self.unknown,
            FailureClass::Unavailable => self.unavailable,
            FailureClass::Invalid => self.invalid,
        }
    }

    /// How long to wait after the nth failure of a class (1 is the first): anything from
    /// nothing to `base` · 2ⁿ⁻¹, at most the cap.
    pub fn delay(&self, class: FailureClass, nth: u32, rng: &mut impl Rng) -> Duration {
        let longest = self.longest_delay(class, nth);
        Duration::from_millis(rng.random_range(0..=longest))
    }

    /// The longest delay, in milliseconds, that [`RetryPolicy::delay`] may give.
    fn longest_delay(&self, class: FailureClass, nth: u32) -> u64 {
        let cap = match class {
            FailureClass::Unavailable => self.unavailable_cap,
            _ => self.cap,
        };
        let cap = u64::try_from(cap.as_millis()).unwrap_or(u64::MAX);
        let base = u64::try_from(self.base.as_millis()).unwrap_or(u64::MAX);
        let factor = 1_u64.checked_shl(nth.saturating_sub(1)).unwrap_or(u64::MAX);
        base.saturating_mul(factor).min(cap)
    }
}

#[cfg(test)]
mod tests {
    use super::{FailureClass, RetryPolicy};

    #[test]
    fn delays_double_up_to_the_cap_and_never_overflow() {
        let policy = RetryPolicy::default();
        let longest: Vec<u64> = [1, 2, 3, 10, 11, 64, 65, u32::MAX]
            .into_iter()
            .map(|nth| policy.longest_delay(FailureClass::Conflict, nth))
            .collect();
        assert_eq!(longest, [100, 200, 400, 51_200, 60_000, 60_000, 60_000, 60_000]);
    }
}
