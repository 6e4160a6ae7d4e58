//! HTTP routes `GET /api/v1/admin/projection`, `/system` and `/audit`, registered by
//! [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Problem, Query, Reply};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::store::{self, AuditItem, ProjectionItem, SystemItem};
use crate::ServiceState;

/// The state of the ledgers and of the outbox.
#[derive(Serialize, ToSchema)]
pub(crate) struct SystemBody {
    /// State of the ledger, one entry for each channel.
    ledgers: Vec<SystemItem>,
    /// Number of commands that are not settled or not verified, by status.
    #[schema(value_type = Object)]
    outbox: serde_json::Map<String, Value>,
}

/// Checkpoint and ledger height, one entry for each channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProjectionBody {
    channels: Vec<ProjectionItem>,
}

/// Returns the checkpoint and the ledger height of each channel.
#[utoipa::path(
    get,
    path = "/api/v1/admin/projection",
    tag = "operations",
    responses((status = 200, description = "One entry for each channel.", body = ProjectionBody))
)]
pub(crate) async fn projection(
    State(state): State<ServiceState>,
) -> Result<Reply<ProjectionBody>, Problem> {
    let mut conn = state.base.connection().await?;
    Ok(Reply::ok(ProjectionBody { channels: store::projections(&mut conn).await? }))
}

/// Returns the state of the ledger and the numbers of commands in the outbox.
#[utoipa::path(
    get,
    path = "/api/v1/admin/system",
    tag = "operations",
    responses((status = 200, description = "Ledgers and outbox.", body = SystemBody))
)]
pub(crate) async fn system(
    State(state): State<ServiceState>,
) -> Result<Reply<SystemBody>, Problem> {
    let mut conn = state.base.connection().await?;
    let ledgers = store::systems(&mut conn).await?;
    let counts = gx_outbox::operator::count_by_status(&mut conn).await?;
    let outbox = counts.into_iter().map(|(status, count)| (status.name().to_owned(), count.into()));
    Ok(Reply::ok(SystemBody { ledgers, outbox: outbox.collect() }))
}

/// Lists rows of the audit log, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/audit",
    tag = "operations",
    params(PageQuery<i64>),
    responses((status = 200, description = "A page of rows.", body = Page<AuditItem>))
)]
pub(crate) async fn audit_log(
    State(state): State<ServiceState>,
    Query(page): Query<PageQuery<i64>>,
) -> Result<Reply<Page<AuditItem>>, Problem> {
    let mut conn = state.base.connection().await?;
    let rows =
        store::audit_rows(&mut conn, page.key().copied(), page.limit.with_one_more()).await?;
    Ok(Reply::ok(Page::cut(rows, page.limit, |row| row.seq)))
}
