//! The limits of one process, with governor. They are the only ones without Redis, and a ceiling
//! beside its counts: a process admits at most the configured rate whatever Redis says.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock as GovernorClock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use gx_model::Clock;
use time::OffsetDateTime;

use super::bounded_store::BoundedStore;
use super::policy::LimitPolicy;
use super::settings::{Quota, RateLimitSettings};
use super::verdict::{LimitKey, Verdict};

type Limiter = RateLimiter<LimitKey, BoundedStore, SteadyClock, StateInformationMiddleware>;

/// The limits of one process.
pub(super) struct ProcessLimits {
    clock: SteadyClock,
    /// One for each policy, in the order of [`LimitPolicy::ALL`].
    whole: Vec<Limiter>,
    /// A third of the rate, for the policies of sign-ins.
    third: Vec<Option<Limiter>>,
}

impl ProcessLimits {
    pub(super) fn new(settings: &RateLimitSettings, clock: Clock) -> Self {
        let clock = SteadyClock::new(clock);
        let whole = |policy: &LimitPolicy| {
            let quota = settings.quota(*policy);
            limiter(quota.requests, quota.interval(), &clock)
        };
        let third = |policy: &LimitPolicy| {
            let (at_once, interval) = settings.quota(*policy).third();
            policy.is_of_sign_ins().then(|| limiter(at_once, interval, &clock))
        };
        let policies = &LimitPolicy::ALL;
        Self {
            whole: policies.iter().map(whole).collect(),
            third: policies.iter().map(third).collect(),
            clock,
        }
    }

    /// Counts a request against the configured quota.
    pub(super) fn admit(&self, policy: LimitPolicy, key: LimitKey, quota: Quota) -> Verdict {
        self.check(&self.whole[policy as usize], key, quota)
    }

    /// Counts a request against a third of the quota, or returns `None` if the policy has no third.
    pub(super) fn admit_third(
        &self,
        policy: LimitPolicy,
        key: LimitKey,
        quota: Quota,
    ) -> Option<Verdict> {
        let third = self.third[policy as usize].as_ref()?;
        let (requests, interval) = quota.third();
        let window = interval * requests.get();
        Some(self.check(third, key, Quota { requests, window }))
    }

    fn check(&self, limiter: &Limiter, key: LimitKey, quota: Quota) -> Verdict {
        let interval = quota.interval();
        match limiter.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = quota.requests.get().saturating_sub(remaining);
                Verdict {
                    is_admitted: true,
                    remaining,
                    retry_after: Duration::ZERO,
                    free_after: interval * used,
                }
            }
            Err(refusal) => {
                let retry_after = refusal.wait_time_from(self.clock.now());
                let others = quota.requests.get() - 1;
                Verdict {
                    is_admitted: false,
                    remaining: 0,
                    retry_after,
                    free_after: retry_after + interval * others,
                }
            }
        }
    }
}

fn limiter(at_once: NonZeroU32, interval: Duration, clock: &SteadyClock) -> Limiter {
    let quota = governor::Quota::with_period(interval).expect("intervals are above zero");
    Limiter::new(quota.allow_burst(at_once), BoundedStore::default(), clock.clone())
}

/// The time since the start of the process as governor needs it: it never goes back, even if the
/// machine's clock is set back.
#[derive(Clone, Debug)]
struct SteadyClock {
    clock: Clock,
    last: Arc<Mutex<(OffsetDateTime, Duration)>>,
}

impl SteadyClock {
    fn new(clock: Clock) -> Self {
        let last = Arc::new(Mutex::new((clock.now(), Duration::ZERO)));
        Self { clock, last }
    }
}

impl GovernorClock for SteadyClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: a time from before that of another thread would look as if the
        // machine's clock had been set back, and the way forward again would count twice.
        let now = self.clock.now();
        let passed = Duration::try_from(now - last.0).unwrap_or(Duration::ZERO);
        *last = (now, last.1 + passed);
        Nanos::from(last.1)
    }
}
