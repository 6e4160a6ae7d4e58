//! Growing pauses with jitter. A follower's reader takes one after each stream that was lost, and
//! resets them after a stream that delivered blocks.

use std::time::Duration;

use rand::RngExt;

/// Random pauses up to a bound, which doubles with each pause until it reaches the cap.
pub(crate) struct Backoff {
    first: Duration,
    cap: Duration,
    bound: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, bound: first }
    }

    pub(crate) fn reset(&mut self) {
        self.bound = self.first;
    }

    /// Returns the next pause, drawn between zero and the bound (full jitter), so that clients
    /// which lost the same peer do not all return at the same time.
    pub(crate) fn next(&mut self, rng: &mut impl RngExt) -> Duration {
        let pause = rng.random_range(Duration::ZERO..=self.bound);
        self.bound = self.bound.saturating_mul(2).min(self.cap);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn pauses_grow_to_the_cap_and_start_again_after_a_reset() {
        let mut rng = StdRng::seed_from_u64(7);
        let (first, cap) = (Duration::from_millis(100), Duration::from_millis(350));
        let mut backoff = Backoff::new(first, cap);
        let mut bounds = Vec::new();
        for _ in 0..4 {
            bounds.push(backoff.bound);
            assert!(backoff.next(&mut rng) <= *bounds.last().unwrap());
        }
        assert_eq!(
            bounds.iter().map(Duration::as_millis).collect::<Vec<_>>(),
            [100, 200, 350, 350]
        );
        backoff.reset();
        assert_eq!(backoff.bound, first);
    }
}
