//! What every long-running role needs: settings, telemetry, bind, health, drain, problem+json.
//!
//! A role builds a [`HealthBoard`], a [`Service`] or [`worker_router`], binds with
//! [`server::bind`] and runs a [`Server`] until its token is cancelled; [`shutdown::stop`]
//! does that in the right order.

pub mod build_info;
#[cfg(feature = "testing")]
pub mod conformity;
pub mod database;
pub mod entropy;
pub mod envelope;
pub mod extract;
pub mod fields;
pub mod health;
pub mod idempotency;
pub mod lag;
pub mod limits;
pub mod moment;
mod openapi;
pub mod page;
mod pages;
pub mod problem;
mod routes;
pub mod server;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
#[cfg(test)]
mod tests;

pub use entropy::Entropy;
pub use envelope::Envelope;
pub use extract::{Client, Json, Query, Reply, RequestId};
pub use health::{CheckHandle, HealthBoard, Heart, Verdict};
pub use lag::{LagReading, LagSettings};
pub use problem::{Problem, ProblemKind};
pub use routes::{
    Access, RouteConflict, RouteInfo, Routes, Service, ServiceParts, check_owners, edge,
    worker_router,
};
pub use server::Server;
pub use tokio_util::sync::CancellationToken;
