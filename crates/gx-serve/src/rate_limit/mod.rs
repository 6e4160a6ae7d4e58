//! Rate limits: each route names a [`RouteLimit`], and every request is counted by the policies of
//! its route, with the generic cell rate algorithm (GCRA).
//!
//! A layer around all routes counts clients, the authorization of gx-auth counts sessions, and
//! handlers count e-mail addresses. Counts are kept in Redis, which all processes share, or in this
//! process. A request above a quota is answered with 429. No request fails because Redis is away;
//! sign-ins get a third of their quota then.

mod bounded_store;
mod in_process;
mod layer;
mod policy;
mod request_limits;
mod settings;
mod shared;
#[cfg(test)]
mod tests;
mod verdict;

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gx_model::Clock;

use crate::fingerprint_key::FingerprintKeys;
use crate::health::{CheckResult, HealthBoard};
use in_process::ProcessLimits;
use shared::SharedLimits;
use verdict::{LimitKey, NetworkTag, Verdict};

pub(crate) use layer::{LimitFields, LimitedRoute, LimitedRoutes};
pub use policy::{LimitPolicy, RouteLimit};
pub use request_limits::RequestLimits;
pub use settings::{Quota, RateLimitSettings, RedisServer};

/// Counts requests and refuses those above a quota. Clones share the counts.
#[derive(Clone)]
pub struct RateLimiter(Arc<Limits>);

struct Limits {
    settings: RateLimitSettings,
    keys: FingerprintKeys,
    networks: RandomState,
    process: ProcessLimits,
    shared: Option<SharedLimits>,
}

impl RateLimiter {
    /// Creates a limiter. `keys` hash what is counted; processes that share a Redis need the same
    /// current key.
    /// Redis is asked for the first time when a request is counted.
    pub fn new(settings: &RateLimitSettings, clock: Clock, keys: FingerprintKeys) -> Self {
        let time_limit = Duration::from_millis(settings.redis_timeout_ms);
        let shared = |server: &RedisServer| SharedLimits::new(server.clone(), time_limit);
        Self(Arc::new(Limits {
            process: ProcessLimits::new(settings, clock),
            shared: settings.redis_url.as_ref().map(shared),
            settings: settings.clone(),
            keys,
            networks: RandomState::new(),
        }))
    }

    /// Adds the check `rateLimits`, which fails while the Redis of the settings does not count.
    pub(crate) fn watch(&self, board: &HealthBoard) {
        let limiter = self.clone();
        board.check_with("rateLimits", false, move || {
            let limiter = limiter.clone();
            Box::pin(async move { limiter.check().await })
        });
    }

    async fn check(&self) -> CheckResult {
        let Some(shared) = &self.0.shared else {
            return CheckResult::healthy().with_message("each process counts alone");
        };
        match shared.check().await {
            Ok(()) => CheckResult::healthy(),
            Err(reason) => CheckResult::unhealthy(format!(
                "Redis does not answer ({reason}); each process counts alone, and admits a third \
                 of the sign-ins"
            )),
        }
    }

    fn quota(&self, policy: LimitPolicy) -> Quota {
        self.0.settings.quota(policy)
    }

    /// Returns the key of what a policy counts together. `network` is where the request came from,
    /// unless nobody can make up what is counted.
    fn key(&self, policy: LimitPolicy, parts: &[&str], network: Option<NetworkTag>) -> LimitKey {
        let name = std::iter::once(policy.name());
        let parts: Vec<&[u8]> = name.chain(parts.iter().copied()).map(str::as_bytes).collect();
        LimitKey::new(self.0.keys.current_hash(&parts), network)
    }

    fn network_tag(&self, network: IpAddr) -> NetworkTag {
        NetworkTag(self.0.networks.hash_one(network))
    }

    /// Counts a request against a policy.
    async fn admit(&self, policy: LimitPolicy, key: LimitKey) -> Verdict {
        let (limits, quota) = (&*self.0, self.quota(policy));
        let verdict = limits.process.admit(policy, key, quota);
        let verdict = match &limits.shared {
            Some(shared) if verdict.is_admitted => {
                // Counted all the time, so that the third is not unused when an outage begins.
                let third = limits.process.admit_third(policy, key, quota);
                let asked_at = limits.process.now();
                match shared.admit(policy, key, quota).await {
                    Some(answer) => {
                        if !answer.is_admitted {
                            limits.process.learn(policy, key, asked_at, answer.free_after);
                        }
                        verdict.and(answer)
                    }
                    None => third.map_or(verdict, |third| verdict.and(third)),
                }
            }
            _ => verdict,
        };
        if !verdict.is_admitted {
            metrics::counter!("gx_rate_limited_total", "policy" => policy.name()).increment(1);
        }
        verdict
    }
}
