//! The frame of each long-running role: settings, telemetry, listeners, health, drain, problems.
//!
//! A role builds a [`HealthBoard`] and a [`Service`] or a [`worker_router`], binds with
//! [`server::bind`] and runs a [`Server`] until its token is cancelled. [`shutdown::stop`] stops
//! them in the right order.

pub mod admission;
pub mod build_info;
pub mod characters;
#[cfg(feature = "testing")]
pub mod conformity;
pub mod database;
mod docs_page;
pub mod entropy;
pub mod extract;
mod field_error;
pub mod fields;
mod file_form;
mod fingerprint_key;
pub mod health;
pub mod idempotency;
pub mod lag;
pub mod limits;
pub mod moment;
mod openapi;
mod opening;
pub mod page;
mod pages;
mod peer_address;
pub mod problem;
pub mod rate_limit;
mod repeat;
mod reply;
mod request_id;
pub mod request_layer;
mod route_info;
mod routes;
pub mod server;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod upload_routes;
pub mod worker_loop;

pub use admission::{Admission, AdmissionSettings};
pub use entropy::Entropy;
pub use extract::{Client, Json, Query};
pub use file_form::{FileForm, FilePart, FormError, FormFile, UploadLimits};
pub use fingerprint_key::{FingerprintKeys, KeyedHashes};
pub use health::{CheckHandle, CheckResult, HealthBoard, Heart};
pub use lag::{LagReading, LagSettings};
pub use openapi::TagText;
pub use opening::Opening;
#[cfg(feature = "testing")]
pub use peer_address::set_client_address;
pub use problem::{Problem, ProblemKind};
pub use rate_limit::{RateLimitSettings, RateLimiter, RequestLimits, RouteLimit};
pub use reply::{KeepBody, LoggedActor, Reply};
pub use request_id::RequestId;
pub use request_layer::RequestLayer;
pub use route_info::{RouteAccess, RouteInfo};
pub use routes::{RouteConflict, Routes, Service, ServiceParts, check_owners, edge, worker_router};
pub use server::Server;
pub use tokio_util::sync::CancellationToken;
