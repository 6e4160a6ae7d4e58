//! The limits of one request: what has been counted for it, and the refusal of a request above a
//! quota. The layer of all routes, the authorization and handlers share it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{FromRequestParts, Request};
use http::Extensions;
use http::header::RETRY_AFTER;
use http::request::Parts;

use super::RateLimiter;
use super::policy::{LimitPolicy, Partition, RouteLimit};
use super::verdict::{LimitKey, NetworkTag, Verdict};
use crate::admission::ClientKey;
use crate::problem::{Problem, kind};

/// The limits of one request; an extension of each request to a route. Clones share what has been
/// counted, so that a request which is repeated inside the service counts once.
#[derive(Clone)]
pub struct RequestLimits(Arc<RequestState>);

struct RequestState {
    limiter: RateLimiter,
    limit: RouteLimit,
    client: String,
    network: String,
    network_tag: Option<NetworkTag>,
    counted: Mutex<Vec<Counted>>,
}

/// One verdict about a request.
#[derive(Clone, Copy)]
struct Counted {
    policy: LimitPolicy,
    key: LimitKey,
    verdict: Verdict,
}

impl RequestLimits {
    pub(super) fn new(limiter: RateLimiter, limit: RouteLimit, address: Option<IpAddr>) -> Self {
        let client = address.map(ClientKey::of);
        let network_tag = client.map(|client| limiter.network_tag(client.network()));
        // Only a router without a listener, as in tests, knows no address.
        let client = client.map_or_else(|| "unknown".to_owned(), |client| client.to_string());
        let network = address.map_or_else(|| client.clone(), network_of);
        let counted = Mutex::default();
        Self(Arc::new(RequestState { limiter, limit, client, network, network_tag, counted }))
    }

    /// Returns the limits of a request.
    ///
    /// # Errors
    /// The problem `internal` if the layer of all routes is missing.
    pub fn of(request: &Request) -> Result<Self, Problem> {
        Self::among(request.extensions())
    }

    fn among(extensions: &Extensions) -> Result<Self, Problem> {
        extensions.get::<Self>().cloned().ok_or_else(|| {
            Problem::new(&kind::INTERNAL, "The service is not configured completely.")
        })
    }

    /// Counts the client, by the policies that count clients. The layer of all routes calls it.
    pub(super) async fn admit_client(&self) -> Result<(), Problem> {
        // The network first: one network must not fill the tables of clients and addresses.
        self.admit(Partition::Network, &[&self.0.network]).await?;
        self.admit(Partition::Client, &[&self.0.client]).await
    }

    /// Counts the client of a request to a public route by the general policy, if the route has it.
    /// The layer of all routes calls it, as nothing counts a session before the body is read.
    pub(super) async fn admit_client_of_public_route(&self) -> Result<(), Problem> {
        if self.0.limit.policies().contains(&LimitPolicy::General) {
            let parts = ["client", &self.0.client];
            self.count(LimitPolicy::General, &parts, self.0.network_tag).await?;
        }
        Ok(())
    }

    /// Counts the session, or the client if the request has no session.
    ///
    /// # Errors
    /// The problem `quota_exceeded`.
    pub async fn admit_session(&self, session_id: Option<&str>) -> Result<(), Problem> {
        let Some(policy) = self.0.limit.session_policy() else { return Ok(()) };
        let (kind, id, network) = match session_id {
            Some(id) => ("session", id, None),
            None => ("client", &*self.0.client, self.0.network_tag),
        };
        self.count(policy, &[kind, id], network).await
    }

    /// Counts an e-mail address in its one form, by the policies of the route that count addresses.
    /// A handler calls it before it does anything about the address.
    ///
    /// # Errors
    /// The problem `quota_exceeded`.
    pub async fn admit_email(&self, form: &str) -> Result<(), Problem> {
        self.admit(Partition::ClientAndEmail, &[&self.0.client, form]).await?;
        self.admit(Partition::Email, &[form]).await
    }

    /// Counts the request by the route's policies that have this partition.
    async fn admit(&self, partition: Partition, parts: &[&str]) -> Result<(), Problem> {
        let policies = self.0.limit.policies().iter().copied();
        let network = self.network_of_keys(partition);
        for policy in policies.filter(|policy| policy.partition() == partition) {
            self.count(policy, parts, network).await?;
        }
        Ok(())
    }

    /// Returns the network whose part of a table has the keys of a partition. `None` for addresses,
    /// which requests of several networks name: their counts must stay in one place.
    fn network_of_keys(&self, partition: Partition) -> Option<NetworkTag> {
        self.0.network_tag.filter(|_| partition != Partition::Email)
    }

    /// Counts the request by one policy, once for each key.
    ///
    /// # Errors
    /// The problem `quota_exceeded` with the least time after which every policy that has counted
    /// the request would admit it.
    async fn count(
        &self,
        policy: LimitPolicy,
        parts: &[&str],
        network: Option<NetworkTag>,
    ) -> Result<(), Problem> {
        let key = self.0.limiter.key(policy, parts, network);
        let known = self.counted().iter().find(|one| one.key == key).copied();
        let verdict = match known {
            Some(known) => known.verdict,
            None => {
                let verdict = self.0.limiter.admit(policy, key).await;
                self.counted().push(Counted { policy, key, verdict });
                verdict
            }
        };
        if verdict.is_admitted {
            return Ok(());
        }
        let waits = self.counted().iter().map(|one| one.verdict.retry_after).max();
        Err(exceeded(policy, waits.unwrap_or(verdict.retry_after)))
    }

    fn counted(&self) -> MutexGuard<'_, Vec<Counted>> {
        self.0.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the field `RateLimit-Policy`: the quotas of the route.
    pub(super) fn policy_field(&self) -> String {
        let policies = self.0.limit.policies().iter();
        let items = policies.map(|policy| {
            let quota = self.0.limiter.quota(*policy);
            let (name, window_s) = (policy.name(), quota.window.as_secs());
            format!("\"{name}\";q={};w={window_s}", quota.requests)
        });
        items.collect::<Vec<_>>().join(", ")
    }

    /// Returns the field `RateLimit`: what is left of each quota that was counted. Empty if none
    /// was.
    pub(super) fn limit_field(&self) -> String {
        let counted = self.counted();
        let items = counted.iter().map(|Counted { policy, verdict, .. }| {
            let free_s = whole_seconds(verdict.free_after);
            format!("\"{}\";r={};t={free_s}", policy.name(), verdict.remaining)
        });
        items.collect::<Vec<_>>().join(", ")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestLimits {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::among(&parts.extensions)
    }
}

/// Returns the network that an IPv6 client belongs to, of 48 bits, which is what one customer gets.
/// An IPv4 address is its own network.
fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// Returns the problem of a request above a quota.
fn exceeded(policy: LimitPolicy, retry_after: Duration) -> Problem {
    let left_s = whole_seconds(retry_after).max(1);
    Problem::new(&kind::QUOTA_EXCEEDED, format!("Too many requests. Try again in {left_s} s."))
        .with_header(RETRY_AFTER, &left_s.to_string())
        .with_violated_policies(policy.as_list())
}

/// Returns a duration in seconds, rounded up.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use gx_model::Clock;
    use time::macros::datetime;

    use super::*;
    use crate::rate_limit::RateLimitSettings;

    /// SEC-API-04: the count of an e-mail address is the same key from whatever network a mail is
    /// asked for, so that no network drops it. Clients have a key of their network.
    #[tokio::test]
    async fn sec_api_04_an_address_is_one_key_for_all_networks() {
        let clock = Clock::manual(datetime!(2026-03-01 12:00:00 UTC));
        let keys = crate::tests::fingerprint_keys();
        let limiter = RateLimiter::new(&RateLimitSettings::default(), clock, keys);
        let mut counted = Vec::new();
        for address in ["192.0.2.1", "2001:db8::1"] {
            let address = address.parse().unwrap();
            let limits = RequestLimits::new(limiter.clone(), RouteLimit::Mail, Some(address));
            limits.admit_client().await.unwrap();
            limits.admit_email("sarah@gxtest.com").await.unwrap();
            let key = |policy| {
                let counted = limits.counted();
                counted.iter().find(|one| one.policy == policy).map(|one| one.key)
            };
            counted.push((key(LimitPolicy::Mail), key(LimitPolicy::MailClient)));
        }
        assert!(counted[0].0.is_some());
        assert_eq!(counted[0].0, counted[1].0);
        assert_ne!(counted[0].1, counted[1].1);
    }
}
