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

/// A limiter, and the table in which it counts.
struct Limiter {
    limiter: RateLimiter<LimitKey, BoundedStore, SteadyClock, StateInformationMiddleware>,
    store: BoundedStore,
}

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

    /// Returns the time by which [`Self::learn`] measures.
    pub(super) fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// Counts as used what other processes have used of a quota, after Redis has refused a request:
    /// when it was asked, the whole quota was free `free_after` later. So this process refuses for
    /// as long as Redis would, tells the same time, and asks Redis no more until then.
    pub(super) fn learn(
        &self,
        policy: LimitPolicy,
        key: LimitKey,
        asked_at: Nanos,
        free_after: Duration,
    ) {
        self.whole[policy as usize].store.raise(key, asked_at + free_after);
    }

    fn check(&self, Limiter { limiter, store }: &Limiter, key: LimitKey, quota: Quota) -> Verdict {
        let now = self.clock.now();
        let checked = limiter.check_key(&key);
        let free_after = Duration::from_nanos(store.free_at(key).saturating_sub(now).as_u64());
        Verdict {
            is_admitted: checked.is_ok(),
            remaining: checked.map_or(0, |state| state.remaining_burst_capacity()),
            retry_after: free_after.saturating_sub(quota.interval() * (quota.requests.get() - 1)),
            free_after,
        }
    }
}

fn limiter(at_once: NonZeroU32, interval: Duration, clock: &SteadyClock) -> Limiter {
    let quota = governor::Quota::with_period(interval).expect("intervals are above zero");
    let store = BoundedStore::default();
    let limiter = RateLimiter::new(quota.allow_burst(at_once), store.clone(), clock.clone());
    Limiter { limiter, store }
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
