//! HTTP routes of single commands: `GET /api/v1/admin/outbox` and `/outbox/{id}`,
//! `POST /outbox/{id}/retry` and `/discard`. Registered by [`crate::service`]. A `Problem` is the
//! answer to the client.

use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path, State};
use gx_auth::Administrator;
use gx_db::ProfileId;
use gx_model::{CommandId, CommandKind, CommandStatus};
use gx_outbox::operator::CommandFilter;
use gx_serve::fields::{Fields, FromFields, Text};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Json, Problem, Query, Reply};
use utoipa::IntoParams;

use super::wire::{CommandDetail, CommandItem, EnvelopeItem};
use super::{AuditedDecision, no_command, refused};
use crate::ServiceState;
use crate::audit_reason::ReasonBody;

/// Filters and page of a list of commands.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OutboxQuery {
    /// A command status, such as DEAD.
    #[param(value_type = Option<String>)]
    status: Option<CommandStatus>,
    /// A kind of command, such as CREATE_USER.
    #[param(value_type = Option<String>)]
    kind: Option<CommandKind>,
    /// The profileId of the person that the commands concern.
    #[param(value_type = Option<String>)]
    person: Option<Text<64>>,
    /// Aggregate key: a Fabric User ID, `treasury_CC`, `SYSTEM` or `SYSTEM_PAUSE`.
    #[param(value_type = Option<String>)]
    aggregate: Option<Text<64>>,
    #[param(ignore)]
    page: PageQuery<i64>,
}

impl FromFields for OutboxQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (status, kind) = (fields.optional("status"), fields.optional("kind"));
        let (person, aggregate) = (fields.optional("person"), fields.optional("aggregate"));
        let page = PageQuery::from_fields(fields)?;
        Some(Self { status: status?, kind: kind?, person: person?, aggregate: aggregate?, page })
    }
}

/// The command's id in a path. A text that is not an id is answered like an unknown id.
pub(crate) struct Id(CommandId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.ok().and_then(|Path(id)| id.parse().ok()).map(Self).ok_or_else(no_command)
    }
}

/// Lists commands, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/outbox",
    tag = "operations",
    params(OutboxQuery, PageQuery<i64>),
    responses((status = 200, description = "A page of commands.", body = Page<CommandItem>))
)]
pub(crate) async fn list(
    State(state): State<ServiceState>,
    Query(wanted): Query<OutboxQuery>,
) -> Result<Reply<Page<CommandItem>>, Problem> {
    let limit = wanted.page.limit;
    let person = wanted.person.map(|person| ProfileId::from(person.0));
    let filter = CommandFilter {
        status: wanted.status,
        kind: wanted.kind,
        profile_id: person.as_ref(),
        aggregate_key: wanted.aggregate.as_ref().map(|aggregate| aggregate.0.as_str()),
        below: wanted.page.key().copied(),
    };
    let mut conn = state.base.connection().await?;
    let rows = gx_outbox::operator::list(&mut conn, &filter, limit.with_one_more()).await?;
    Ok(Reply::ok(Page::cut(rows, limit, |row| row.number).map(CommandItem::from)))
}

/// Returns one command, with its envelopes and the ledger's answers.
#[utoipa::path(
    get,
    path = "/api/v1/admin/outbox/{id}",
    tag = "operations",
    params(("id" = String, Path, description = "commandId")),
    responses((status = 200, description = "The command.", body = CommandDetail))
)]
pub(crate) async fn get(
    State(state): State<ServiceState>,
    Id(id): Id,
) -> Result<Reply<CommandDetail>, Problem> {
    let mut conn = state.base.connection().await?;
    let row = gx_outbox::operator::command(&mut conn, id).await?.ok_or_else(no_command)?;
    let envelopes = gx_outbox::operator::attempts(&mut conn, id).await?;
    let envelopes = envelopes.into_iter().map(EnvelopeItem::from).collect();
    Ok(Reply::ok(CommandDetail { command: row.into(), envelopes }))
}

/// Sends a dead command again, with fresh budgets. If the ledger has cancelled its id and only GX
/// can request the command again, the command gets a new id, which is in the answer.
#[utoipa::path(
    post,
    path = "/api/v1/admin/outbox/{id}/retry",
    tag = "operations",
    params(("id" = String, Path, description = "commandId")),
    responses((status = 200, description = "The command is sent again.", body = CommandItem))
)]
pub(crate) async fn retry(
    State(state): State<ServiceState>,
    Id(id): Id,
    who: Administrator,
    Json(body): Json<ReasonBody>,
) -> Result<Reply<CommandItem>, Problem> {
    let decision = AuditedDecision::of(&who, &body.reason, &state.base.entropy);
    let _ticket = state.base.row_ticket(&id.to_string()).await?;
    let mut tx = state.base.begin().await?;
    let now = state.base.clock.now();
    let retried_id = super::retry_command(&mut tx, id, &decision, now).await.map_err(refused)?;
    let row = gx_outbox::operator::command(&mut tx, retried_id).await?.ok_or_else(no_command)?;
    tx.commit().await?;
    state.waker.wake();
    Ok(Reply::ok(row.into()))
}

/// Withdraws a command that is not settled. If the command was sent, it stays PENDING with `giveUp`
/// set until the ledger has cancelled its id, and is DISCARDED then.
#[utoipa::path(
    post,
    path = "/api/v1/admin/outbox/{id}/discard",
    tag = "operations",
    params(("id" = String, Path, description = "commandId")),
    responses((status = 200, description = "The command is or will be discarded.",
                body = CommandItem))
)]
pub(crate) async fn discard(
    State(state): State<ServiceState>,
    Id(id): Id,
    who: Administrator,
    Json(body): Json<ReasonBody>,
) -> Result<Reply<CommandItem>, Problem> {
    let decision = AuditedDecision::of(&who, &body.reason, &state.base.entropy);
    let _ticket = state.base.row_ticket(&id.to_string()).await?;
    let mut tx = state.base.begin().await?;
    let now = state.base.clock.now();
    super::discard_command(&mut tx, id, &decision, now).await.map_err(refused)?;
    let row = gx_outbox::operator::command(&mut tx, id).await?.ok_or_else(no_command)?;
    tx.commit().await?;
    state.waker.wake();
    Ok(Reply::ok(row.into()))
}
