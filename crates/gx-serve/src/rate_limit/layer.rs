//! The layer around all routes of a service: it counts clients, and reports what is left of each
//! quota. The request layer writes the report, also on problems.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::RateLimiter;
use super::policy::RouteLimit;
use super::request_limits::RequestLimits;
use crate::peer_address::PeerAddress;

/// Response field with the quotas of a route (draft-ietf-httpapi-ratelimit-headers).
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Response field with what is left of them.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The limits of all routes of a service.
pub(crate) struct LimitedRoutes {
    limiter: RateLimiter,
    /// By pattern of the path.
    routes: HashMap<String, Vec<LimitedRoute>>,
}

/// A route with its limit.
#[derive(Clone)]
pub(crate) struct LimitedRoute {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) limit: RouteLimit,
    /// Whether everybody may call it, so that no authorization counts a session.
    pub(crate) is_public: bool,
}

/// The fields of a response about limits; an extension of the response until the request layer
/// writes them.
#[derive(Clone, Debug)]
pub(crate) struct LimitFields {
    policy: String,
    limit: String,
}

impl LimitFields {
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in [(RATE_LIMIT_POLICY, &self.policy), (RATE_LIMIT, &self.limit)] {
            match HeaderValue::from_str(value) {
                Ok(value) if !value.is_empty() => drop(headers.insert(name, value)),
                _ => {}
            }
        }
    }
}

impl LimitedRoutes {
    pub(crate) fn new(limiter: RateLimiter, table: impl IntoIterator<Item = LimitedRoute>) -> Self {
        let mut routes: HashMap<String, Vec<LimitedRoute>> = HashMap::new();
        for route in table {
            routes.entry(route.path.clone()).or_default().push(route);
        }
        Self { limiter, routes }
    }

    /// Handles one request inside the layer. A request to no route is not limited: it is answered
    /// without work.
    pub(crate) async fn around(&self, mut request: Request, next: Next) -> Response {
        let Some(route) = self.route(&request) else { return next.run(request).await };
        let address = request.extensions().get::<PeerAddress>();
        let address = address.map(|peer| peer.0);
        let limits = RequestLimits::new(self.limiter.clone(), route.limit, address);
        let mut admitted = limits.admit_client().await;
        if route.is_public && admitted.is_ok() {
            admitted = limits.admit_client_of_public_route().await;
        }
        let mut response = match admitted {
            Ok(()) => {
                request.extensions_mut().insert(limits.clone());
                next.run(request).await
            }
            Err(problem) => problem.into_response(),
        };
        let fields = LimitFields { policy: limits.policy_field(), limit: limits.limit_field() };
        response.extensions_mut().insert(fields);
        response
    }

    fn route(&self, request: &Request) -> Option<&LimitedRoute> {
        let path = request.extensions().get::<MatchedPath>()?.as_str();
        // The handler of a GET answers a HEAD.
        let is_head = *request.method() == Method::HEAD;
        let method = if is_head { "GET" } else { request.method().as_str() };
        self.routes.get(path)?.iter().find(|route| route.method == method)
    }
}
