//! The key under which requests are counted, and the verdict about one request.

use std::fmt;
use std::time::Duration;

/// A network of clients: an IPv4 /24 or an IPv6 /48. A hash that is different in each process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NetworkTag(pub(super) u64);

/// What is counted together: a keyed hash of the policy and of the client, session or address, so
/// that neither Redis nor the memory of a process has their text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LimitKey {
    number: u128,
    network: u64,
}

impl LimitKey {
    /// Takes the first half of a hash. `network` is the network that the request came from;
    /// `None` for what nobody can make up, such as a session, and for what several networks name.
    pub(super) fn new(hash: [u8; 32], network: Option<NetworkTag>) -> Self {
        let (half, _) = hash.split_at(16);
        let number = u128::from_be_bytes(half.try_into().expect("half of a hash has 16 bytes"));
        let own = u64::try_from(number >> 64).expect("half of the number has 64 bits");
        Self { number, network: network.map_or(own, |tag| tag.0) }
    }

    pub(super) fn as_number(self) -> u128 {
        self.number
    }

    pub(super) fn network(self) -> u64 {
        self.network
    }

    /// Returns the set of a table with this number of sets.
    pub(super) fn set(self, sets: usize) -> usize {
        usize::try_from(self.number % sets as u128).expect("a remainder is below its divisor")
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.number)
    }
}

/// Whether one request is admitted, and what is left of the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_admitted: bool,
    /// Requests that would be admitted at once after this one.
    pub(crate) remaining: u32,
    /// Time until another request would be admitted, if none is sent meanwhile; zero if it would be
    /// now.
    pub(crate) retry_after: Duration,
    /// Time until the whole quota is free again, if nothing is sent meanwhile.
    pub(crate) free_after: Duration,
}

impl Verdict {
    /// Returns the verdict of two counts, both of which must admit a request.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            is_admitted: self.is_admitted && other.is_admitted,
            remaining: self.remaining.min(other.remaining),
            retry_after: self.retry_after.max(other.retry_after),
            free_after: self.free_after.max(other.free_after),
        }
    }
}
