//! A route with its owner and the callers that it accepts. Collected by [`crate::routes`]; tests
//! and the OpenAPI document read it.

use crate::rate_limit::RouteLimit;

/// The callers that a route accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAccess {
    /// All callers, without a token.
    Public,
    /// People who are signed in.
    User,
    /// People who are signed in, including those who were denied and may submit again.
    UserRetrying,
    /// All administrators, including those who must enrol a second factor before they can sign in.
    AdminEnrolling,
    /// Administrators with at least this role.
    Admin(&'static str),
}

/// One route of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// The method: `GET`, `POST`, …
    pub method: String,
    /// The path, with parameters as `{name}`.
    pub path: String,
    /// Name of the service that owns the route.
    pub service: &'static str,
    /// The callers that the route accepts.
    pub access: RouteAccess,
    /// The rate limit. A route that everybody may call must name one.
    pub limit: Option<RouteLimit>,
}
