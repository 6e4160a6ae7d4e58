//! `GET /api/v1/admin/projection`, `/system`, `/audit`.

use axum::extract::State as Axum;
use gx_serve::page::Page;
use gx_serve::{Problem, Query, Reply};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::store::{self, AuditItem, ProjectionItem, SystemItem};
use crate::State;
use crate::paging::{PageQuery, PageRequest};

/// The system as a whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct SystemBody {
    /// The ledger's own state, one entry a channel.
    ledgers: Vec<SystemItem>,
    /// How many commands are not settled, or lack their declared result, by status.
    #[schema(value_type = Object)]
    outbox: serde_json::Map<String, Value>,
}

/// Where the projection stands, one entry a channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProjectionBody {
    channels: Vec<ProjectionItem>,
}

/// Where the projection stands.
#[utoipa::path(
    get,
    path = "/api/v1/admin/projection",
    tag = "operations",
    responses((status = 200, description = "One entry a channel.", body = ProjectionBody))
)]
pub(crate) async fn projection(Axum(state): Axum<State>) -> Result<Reply<ProjectionBody>, Problem> {
    let mut conn = state.base.connection().await?;
    Ok(Reply::ok(ProjectionBody { channels: store::projections(&mut conn).await? }))
}

/// The ledger's own state, and what waits for it.
#[utoipa::path(
    get,
    path = "/api/v1/admin/system",
    tag = "operations",
    responses((status = 200, description = "Ledgers and outbox.", body = SystemBody))
)]
pub(crate) async fn system(Axum(state): Axum<State>) -> Result<Reply<SystemBody>, Problem> {
    let mut conn = state.base.connection().await?;
    let ledgers = store::systems(&mut conn).await?;
    let counts = gx_outbox::count_by_status(&mut conn).await?;
    let outbox = counts.into_iter().map(|(status, count)| (status.name().to_owned(), count.into()));
    Ok(Reply::ok(SystemBody { ledgers, outbox: outbox.collect() }))
}

/// The audit log, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/audit",
    tag = "operations",
    params(PageQuery),
    responses((status = 200, description = "A page of rows.", body = Page<AuditItem>))
)]
pub(crate) async fn audit_log(
    Axum(state): Axum<State>,
    Query(page): Query<PageRequest>,
) -> Result<Reply<Page<AuditItem>>, Problem> {
    let mut conn = state.base.connection().await?;
    let rows = store::audit_rows(&mut conn, page.below(), page.limit.with_one_more()).await?;
    Ok(Reply::ok(Page::cut(rows, page.limit, |row| row.seq)))
}
