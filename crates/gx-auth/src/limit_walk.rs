//! The walk over all routes of a service that compares their answers with their rate limits. Tests
//! of each service call it.

#![expect(clippy::panic, reason = "for tests only")]

use gx_serve::rate_limit::LimitPolicy;
use gx_serve::{RateLimitSettings, RouteInfo, RouteLimit};

use crate::testing::TestHost;

impl TestHost {
    /// Asks every route without a token, and checks that its answer names the quotas of the route's
    /// limit with the numbers of the settings, and what is left of those that are counted before
    /// the handler. Returns the routes whose limit is not the general one, each with its limit.
    pub async fn check_limits(&self, settings: &RateLimitSettings) -> Vec<(String, RouteLimit)> {
        let mut own = Vec::new();
        for RouteInfo { method, path, limit, .. } in &self.service.routes {
            let Some(limit) = *limit else { panic!("{method} {path} has no limit") };
            let url = path.replace(['{', '}'], "");
            let answer = self.ask(method, &url).send().await;
            let item = |policy: &LimitPolicy| {
                let quota = settings.quota(*policy);
                let (name, window_s) = (policy.name(), quota.window.as_secs());
                format!("\"{name}\";q={};w={window_s}", quota.requests)
            };
            let items: Vec<String> = limit.policies().iter().map(item).collect();
            assert_eq!(answer.field("ratelimit-policy"), items.join(", "), "{method} {path}");
            // Without a body, no handler that counts a session or an e-mail address is reached.
            let items = answer.field("ratelimit").matches("\";").count();
            let of_clients = match limit {
                RouteLimit::RegisterByMail => 3,
                RouteLimit::Mail | RouteLimit::Credential => 2,
                _ => 1,
            };
            assert_eq!(items, of_clients, "{method} {path}: {:?}", answer.headers);
            if limit != RouteLimit::General {
                own.push((format!("{method} {path}"), limit));
            }
        }
        own
    }
}
