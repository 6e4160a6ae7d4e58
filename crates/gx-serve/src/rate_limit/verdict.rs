//! The key under which requests are counted, and the verdict about one request.

use std::fmt;
use std::time::Duration;

/// What is counted together: a keyed hash of the policy and of the client, session or address, so
/// that neither Redis nor the memory of a process has their text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LimitKey(u128);

impl LimitKey {
    /// Takes the first half of a hash.
    pub(super) fn new(hash: [u8; 32]) -> Self {
        let (half, _) = hash.split_at(16);
        Self(u128::from_be_bytes(half.try_into().expect("half of a hash has 16 bytes")))
    }

    pub(super) fn as_number(self) -> u128 {
        self.0
    }

    /// Returns the set of a table with this number of sets.
    pub(super) fn set(self, sets: usize) -> usize {
        usize::try_from(self.0 % sets as u128).expect("a remainder is below its divisor")
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Whether one request is admitted, and what is left of the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_admitted: bool,
    /// Requests that would be admitted at once after this one.
    pub(crate) remaining: u32,
    /// Time until the next request would be admitted; zero if this one is.
    pub(crate) retry_after: Duration,
    /// Time until the whole quota is free again, if nothing is sent meanwhile.
    pub(crate) free_after: Duration,
}
