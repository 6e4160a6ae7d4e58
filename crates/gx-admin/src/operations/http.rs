//! `GET /api/v1/admin/outbox`, `/dead-events`, `/projection`, `/system`, `/audit`.

use axum::extract::State as Axum;
use gx_model::CommandStatus;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, text};
use gx_serve::page::{Cursor, Limit, Page};
use gx_serve::{Problem, Query, Reply};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::store::{self, AuditItem, CommandItem, DeadEventItem, ProjectionItem, SystemItem};
use crate::State;

/// Which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the fields describe the query; PageRequest is what is read")]
pub(crate) struct PageQuery {
    /// 1 to 100, 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Which commands.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the fields describe the query; OutboxPage is what is read")]
pub(crate) struct OutboxQuery {
    /// A command status, such as PENDING.
    status: Option<String>,
    /// 1 to 100, 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// The page that was asked for.
pub(crate) struct PageRequest {
    limit: Limit,
    below: Option<Cursor<i64>>,
}

impl FromFields for PageRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let limit = fields.optional("limit");
        let below = fields.optional("cursor");
        Some(Self { limit: limit?.unwrap_or_default(), below: below? })
    }
}

impl PageRequest {
    fn below(&self) -> Option<i64> {
        self.below.as_ref().map(|cursor| cursor.0)
    }
}

struct Status(CommandStatus);

impl Field for Status {
    fn read(value: &Value) -> Result<Self, FieldError> {
        CommandStatus::from_name(text(value)?).map(Self).ok_or_else(|| {
            let names: Vec<_> = CommandStatus::ALL.iter().map(|status| status.name()).collect();
            FieldError::new("format", format!("must be one of {}", names.join(", ")))
        })
    }
}

/// The page of commands that was asked for.
pub(crate) struct OutboxPage {
    status: Option<Status>,
    page: PageRequest,
}

impl FromFields for OutboxPage {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let status = fields.optional("status");
        let page = PageRequest::from_fields(fields);
        Some(Self { status: status?, page: page? })
    }
}

/// The system as a whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct SystemBody {
    /// The ledger's own state, one entry a channel.
    ledgers: Vec<SystemItem>,
    /// How many commands are not settled, by status.
    #[schema(value_type = Object)]
    outbox: serde_json::Map<String, Value>,
}

/// Where the projection stands, one entry a channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProjectionBody {
    channels: Vec<ProjectionItem>,
}

/// Commands on their way to the ledger, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/outbox",
    tag = "operations",
    params(OutboxQuery),
    responses((status = 200, description = "A page of commands.", body = Page<CommandItem>))
)]
pub(crate) async fn outbox(
    Axum(state): Axum<State>,
    Query(wanted): Query<OutboxPage>,
) -> Result<Reply<Page<CommandItem>>, Problem> {
    let status = wanted.status.map(|status| status.0.name());
    let (below, limit) = (wanted.page.below(), wanted.page.limit);
    let mut conn = state.base.connection().await?;
    let rows = store::commands(&mut conn, status, below, limit.with_one_more()).await?;
    Ok(Reply::ok(Page::cut(rows, limit, |row| row.number)))
}

/// Events that could not be applied, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/dead-events",
    tag = "operations",
    params(PageQuery),
    responses((status = 200, description = "A page of events.", body = Page<DeadEventItem>))
)]
pub(crate) async fn dead_events(
    Axum(state): Axum<State>,
    Query(page): Query<PageRequest>,
) -> Result<Reply<Page<DeadEventItem>>, Problem> {
    let mut conn = state.base.connection().await?;
    let rows = store::dead_events(&mut conn, page.below(), page.limit.with_one_more()).await?;
    Ok(Reply::ok(Page::cut(rows, page.limit, |row| row.dead_event_id)))
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
