//! A service: its routes with their owners and permissions, and the routers of its listeners.

use std::collections::BTreeMap;

use axum::Router;
use axum::middleware::from_fn;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::envelope::{Envelope, around};
use crate::health::HealthBoard;
use crate::problem::ProblemKind;
use crate::{openapi, pages};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// A person who is signed in.
    User,
    /// A person who is signed in, one denied with a retry included.
    UserRetrying,
    /// An administrator of at least this role.
    Admin(&'static str),
}

/// One route of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// `GET`, `POST`, …
    pub method: String,
    /// With parameters as `{name}`.
    pub path: String,
    /// The owner.
    pub service: &'static str,
    /// Who may call it.
    pub access: Access,
}

/// Routes that are being gathered, each with its access.
pub struct Routes<S> {
    service: &'static str,
    router: OpenApiRouter<S>,
    table: Vec<RouteInfo>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet.
    pub fn new(service: &'static str) -> Self {
        Self { service, router: OpenApiRouter::new(), table: Vec::new() }
    }

    /// Adds handlers of one path. The caller has put the guard that `access` needs around
    /// them; `gx_auth::Api` is where that happens.
    #[must_use]
    pub fn add(mut self, access: Access, methods: UtoipaMethodRouter<S>) -> Self {
        for (path, item) in &methods.1.paths {
            for method in openapi::methods(item) {
                self.table.push(RouteInfo {
                    method: method.to_owned(),
                    path: path.clone(),
                    service: self.service,
                    access,
                });
            }
        }
        self.router = self.router.routes(methods);
        self
    }

    /// The service that these routes make.
    pub fn into_service(self, state: S, parts: ServiceParts) -> Service {
        let (router, document) = self.router.with_state(state).split_for_parts();
        let document = openapi::finish(document, self.service, &self.table);
        Service {
            name: self.service,
            router,
            openapi: document,
            routes: self.table,
            health: parts.health,
            envelope: parts.envelope,
            problems: parts.problems,
        }
    }
}

/// What a service has besides its routes.
pub struct ServiceParts {
    /// Its checks.
    pub health: HealthBoard,
    /// What is around its requests.
    pub envelope: Envelope,
    /// The kinds of problems of its own.
    pub problems: &'static [&'static ProblemKind],
}

/// One HTTP service, usable in process (through a router) or behind listeners.
#[derive(Clone)]
pub struct Service {
    /// The role's name.
    pub name: &'static str,
    /// Its OpenAPI document.
    pub openapi: OpenApi,
    /// Its routes.
    pub routes: Vec<RouteInfo>,
    /// Its checks.
    pub health: HealthBoard,
    router: Router,
    envelope: Envelope,
    problems: &'static [&'static ProblemKind],
}

impl Service {
    /// The service port: the routes, health and the list of problems; with `documents` also
    /// what [`Service::internal`] has.
    pub fn public(&self, documents: bool) -> Router {
        let mut router = self
            .router
            .clone()
            .merge(pages::health(self.health.clone()))
            .merge(pages::problems(self.problems));
        if documents {
            router = router.merge(pages::documents(&self.openapi, &self.health));
        }
        enveloped(router, self.envelope.clone())
    }

    /// The second, non-public listener: `/metrics`, `/docs`, `/openapi.json`, and health.
    pub fn internal(&self) -> Router {
        let router =
            pages::documents(&self.openapi, &self.health).merge(pages::health(self.health.clone()));
        enveloped(router, self.envelope.clone())
    }
}

/// The second listener's router of a role that has no other, such as a worker: health and
/// metrics.
pub fn worker_router(health: &HealthBoard, envelope: Envelope) -> Router {
    let router = pages::health(health.clone()).merge(pages::metrics(health.clone()));
    enveloped(router, envelope)
}

/// One listener with the routes of several services.
///
/// # Errors
/// When two services claim the same method and path (CFG-05).
pub fn edge(services: &[&Service], envelope: Envelope) -> Result<Router, RouteConflict> {
    check_owners(services.iter().flat_map(|service| &service.routes))?;
    let mut problems: Vec<&'static ProblemKind> = Vec::new();
    let mut router = Router::new();
    for service in services {
        router = router.merge(service.router.clone());
        problems.extend(service.problems);
    }
    Ok(enveloped(router.merge(pages::problems(&problems)), envelope))
}

/// Two services claim one path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} is claimed by {one} and by {other}; a path has one owner")]
pub struct RouteConflict {
    path: String,
    one: &'static str,
    other: &'static str,
}

/// Checks that each path has one owner.
///
/// # Errors
/// The first path that has two.
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

/// A path with its parameters' names left out: two that differ in those alone are the same.
fn shape(path: &str) -> String {
    let segment =
        |part: &str| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn enveloped(router: Router, envelope: Envelope) -> Router {
    router.layer(from_fn(move |request, next| around(envelope.clone(), request, next)))
}
