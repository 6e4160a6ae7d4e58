//! A service: its routes with owner and access, and the routers of its listeners. Each HTTP service
//! builds one at its start; `gx` serves its routers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use gx_db::Database;
use serde_json::Value;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::fingerprint_key::FingerprintKeys;
use crate::health::HealthBoard;
use crate::idempotency::{self, KeySettings};
use crate::openapi::{DocumentedRoute, TagText};
use crate::opening::Opening;
use crate::problem::ProblemKind;
use crate::rate_limit::{LimitedRoute, LimitedRoutes, RateLimiter, RouteLimit};
use crate::request_layer::{self, RequestLayer};
use crate::route_info::{RouteAccess, RouteInfo};
use crate::upload_routes::UploadRoutes;
use crate::{openapi, pages, repeat};

/// Routes of a service under construction, each with its access.
pub struct Routes<S> {
    service: &'static str,
    router: OpenApiRouter<S>,
    table: Vec<DocumentedRoute>,
    /// Number of routes in the table before the ones that were added last.
    before_last: usize,
    tags: &'static [TagText],
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Creates an empty set of routes.
    pub fn new(service: &'static str) -> Self {
        let (router, table) = (OpenApiRouter::new(), Vec::new());
        Self { service, router, table, before_last: 0, tags: &[] }
    }

    /// Sets the groups of the routes, in the order in which the document shows them.
    #[must_use]
    pub fn with_tags(mut self, tags: &'static [TagText]) -> Self {
        self.tags = tags;
        self
    }

    /// Adds the handlers of one path, and documents the problems that only they answer with. The
    /// caller must have added the check that `access` demands; `gx_auth::Api` does so.
    #[must_use]
    pub fn add(
        mut self,
        access: RouteAccess,
        methods: UtoipaMethodRouter<S>,
        problems: &[&'static ProblemKind],
    ) -> Self {
        self.before_last = self.table.len();
        // A public route has no session by which it could be counted, and must say what it does.
        let limit = (access != RouteAccess::Public).then_some(RouteLimit::General);
        for (path, item) in &methods.1.paths {
            for method in openapi::methods(item) {
                let route = RouteInfo {
                    method: method.to_owned(),
                    path: path.clone(),
                    service: self.service,
                    access,
                    limit,
                };
                self.table.push((route, problems.to_vec()));
            }
        }
        self.router = self.router.routes(methods);
        self
    }

    /// Sets the rate limit of the routes that were added last. A public route needs one.
    #[must_use]
    pub fn limited(mut self, limit: RouteLimit) -> Self {
        for (route, _) in &mut self.table[self.before_last..] {
            route.limit = Some(limit);
        }
        self
    }

    /// Builds the service from these routes.
    ///
    /// # Panics
    /// If a public route has no rate limit; the message names the route.
    pub fn into_service(self, state: S, parts: ServiceParts) -> Service {
        let limits = Arc::new(LimitedRoutes::new(parts.limits.clone(), limited(&self.table)));
        parts.limits.watch(&parts.health);
        let (router, document) = self.router.with_state(state).split_for_parts();
        let router = match parts.database {
            Some(database) => {
                let keys = KeySettings {
                    database: database.clone(),
                    clock: parts.request_layer.clock.clone(),
                    fingerprint_keys: parts.fingerprint_keys,
                };
                let router = router.layer(from_fn(move |request, next| {
                    idempotency::layer::around(keys.clone(), request, next)
                }));
                router.layer(from_fn(move |request, next| {
                    repeat::around(database.clone(), request, next)
                }))
            }
            None => router,
        };
        let router = router.layer(from_fn(move |request, next| {
            let limits = Arc::clone(&limits);
            async move { limits.around(request, next).await }
        }));
        let openapi = openapi::finish(&document, self.service, self.tags, &self.table);
        let (routes, problems): (Vec<_>, Vec<_>) = self.table.into_iter().unzip();
        Service {
            name: self.service,
            router,
            pages: Router::new(),
            openapi,
            routes,
            health: parts.health,
            request_layer: parts.request_layer,
            problems: problems.into_iter().flatten().collect(),
        }
    }
}

/// Returns the routes with their limits.
fn limited(table: &[DocumentedRoute]) -> Vec<LimitedRoute> {
    let of_route = |(route, _): &DocumentedRoute| {
        let RouteInfo { method, path, access, limit, .. } = route;
        assert!(
            limit.is_some(),
            "{method} {path} has no rate limit; add `.limited(RouteLimit::…)` after the route"
        );
        LimitedRoute {
            method: method.clone(),
            path: path.clone(),
            limit: limit.unwrap_or(RouteLimit::General),
            is_public: *access == RouteAccess::Public,
        }
    };
    table.iter().map(of_route).collect()
}

/// Parts of a service other than its routes.
pub struct ServiceParts {
    /// Health checks of the service.
    pub health: HealthBoard,
    /// Database of the routes. It is told about failures, and a request that met a stale plan is
    /// repeated. `None` if the routes use no database.
    pub database: Option<Database>,
    /// Layer around the requests.
    pub request_layer: RequestLayer,
    /// Counts requests, and refuses those above the limit of their route.
    pub limits: RateLimiter,
    /// Keys of the fingerprints of requests with an idempotency key.
    pub fingerprint_keys: FingerprintKeys,
}

/// An HTTP service, usable in process (as a router) or behind listeners.
#[derive(Clone)]
pub struct Service {
    /// Name of the role.
    pub name: &'static str,
    /// OpenAPI document of the service.
    pub openapi: Value,
    /// Routes of the service.
    pub routes: Vec<RouteInfo>,
    /// Health checks of the service.
    pub health: HealthBoard,
    router: Router,
    pages: Router,
    request_layer: RequestLayer,
    problems: Vec<&'static ProblemKind>,
}

impl Service {
    /// Returns this service with pages for people, which the document does not have. `build` gets
    /// the router of the routes, for pages that call them.
    #[must_use]
    pub fn with_pages(mut self, build: impl FnOnce(&Router) -> Router) -> Self {
        self.pages = build(&self.router);
        self
    }

    /// Returns this service with its routes and pages closed until `opening` opens. Probes and the
    /// internal listener answer meanwhile.
    #[must_use]
    pub fn closed_until(mut self, opening: &Opening) -> Self {
        let (routes, pages) = (opening.clone(), opening.clone());
        self.router =
            self.router.layer(from_fn(move |request, next| routes.clone().around(request, next)));
        self.pages =
            self.pages.layer(from_fn(move |request, next| pages.clone().around(request, next)));
        self
    }

    /// Returns the router of the public listener: routes, health and the list of problems.
    /// `documents` adds the pages of [`Service::internal`], and `/docs` can send requests.
    pub fn public(&self, documents: bool) -> Router {
        let mut router = self
            .router
            .clone()
            .merge(self.pages.clone())
            .merge(pages::health(self.health.clone()))
            .merge(pages::problems(&self.problems));
        if documents {
            router = router.merge(pages::documents(&self.openapi, &self.health, true));
        }
        with_request_layer(router, self.request_layer.clone(), UploadRoutes::of([&self.openapi]))
    }

    /// Returns the router of the internal listener: `/metrics`, `/docs`, `/openapi.json` and
    /// health.
    pub fn internal(&self) -> Router {
        let router = pages::documents(&self.openapi, &self.health, false)
            .merge(pages::health(self.health.clone()));
        with_request_layer(router, self.request_layer.clone(), UploadRoutes::default())
    }
}

/// Returns the router of the internal listener of a worker: health and metrics.
pub fn worker_router(health: &HealthBoard, request_layer: RequestLayer) -> Router {
    let router = pages::health(health.clone()).merge(pages::metrics(health.clone()));
    with_request_layer(router, request_layer, UploadRoutes::default())
}

/// Returns the router of a listener with the routes and the health of several services.
///
/// # Errors
/// [`RouteConflict`] if two services have the same path (CFG-05).
pub fn edge(services: &[&Service], request_layer: RequestLayer) -> Result<Router, RouteConflict> {
    check_owners(services.iter().flat_map(|service| &service.routes))?;
    let mut problems: Vec<&'static ProblemKind> = Vec::new();
    let mut router = Router::new();
    for service in services {
        router = router.merge(service.router.clone()).merge(service.pages.clone());
        problems.extend(&service.problems);
    }
    let parts = services.iter().map(|service| service.health.clone()).collect();
    let health = HealthBoard::joined(request_layer.service, request_layer.clock.clone(), parts);
    let pages = pages::problems(&problems).merge(pages::health(health));
    let uploads = UploadRoutes::of(services.iter().map(|service| &service.openapi));
    Ok(with_request_layer(router.merge(pages), request_layer, uploads))
}

/// A path that two services have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} is claimed by {one} and by {other}; remove one of the routes")]
pub struct RouteConflict {
    path: String,
    one: &'static str,
    other: &'static str,
}

/// Checks that each path belongs to one service.
///
/// # Errors
/// [`RouteConflict`] with the first path that belongs to two.
pub fn check_owners<'a>(
    routes: impl IntoIterator<Item = &'a RouteInfo>,
) -> Result<(), RouteConflict> {
    let mut owners = BTreeMap::new();
    for route in routes {
        let one = *owners.entry(shape(&route.path)).or_insert(route.service);
        if one != route.service {
            return Err(RouteConflict { path: route.path.clone(), one, other: route.service });
        }
    }
    Ok(())
}

/// Returns a path without the names of its parameters, because the names do not tell two paths
/// apart.
fn shape(path: &str) -> String {
    let segment =
        |part: &str| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn with_request_layer(router: Router, layer: RequestLayer, uploads: UploadRoutes) -> Router {
    let layer = (layer, uploads);
    router.layer(from_fn(move |request, next| request_layer::around(layer.clone(), request, next)))
}
