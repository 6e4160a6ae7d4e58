//! How long a client may still take for a body. Only the time that is spent waiting for the client
//! counts.

use std::time::Duration;

use super::limits::UploadLimits;

/// The time that a client has left: for the whole body, and until it falls too far behind the least
/// rate.
#[derive(Debug)]
pub(super) struct Pace {
    limits: UploadLimits,
    left: Duration,
    credit: Duration,
}

impl Pace {
    pub(super) fn new(limits: UploadLimits) -> Self {
        Self { limits, left: limits.time_limit, credit: limits.pause_limit }
    }

    /// Returns how long the client may take for the next bytes.
    pub(super) fn left(&self) -> Duration {
        self.left.min(self.credit)
    }

    /// Subtracts the time that the client has taken.
    pub(super) fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
        self.credit = self.credit.saturating_sub(waited);
    }

    /// Adds the time that bytes may take at the least rate.
    pub(super) fn add(&mut self, bytes: usize) {
        let earned = Duration::from_secs(bytes as u64) / self.limits.min_bytes_per_s.max(1);
        self.credit = (self.credit + earned).min(self.limits.pause_limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FILE-01: a body that arrives at the least rate is accepted for as long as the limit of time
    /// allows. One that stops loses what it was ahead, and no more.
    #[test]
    fn a_client_may_fall_behind_by_the_limit_and_no_further() {
        let limits = UploadLimits::default();
        let (second, rate) = (Duration::from_secs(1), limits.min_bytes_per_s as usize);
        let mut pace = Pace::new(limits);
        assert_eq!(pace.left(), Duration::from_secs(10));
        pace.add(100 * rate);
        assert_eq!(pace.left(), Duration::from_secs(10), "nobody can save time");
        pace.spend(6 * second);
        assert_eq!(pace.left(), 4 * second);
        pace.add(2 * rate);
        assert_eq!(pace.left(), 6 * second);
        for _ in 6..300 {
            pace.spend(second);
            pace.add(rate);
        }
        assert_eq!(pace.left(), Duration::ZERO, "five minutes are over");
    }
}
