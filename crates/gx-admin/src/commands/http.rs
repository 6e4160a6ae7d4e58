//! `GET /api/v1/admin/outbox` and `/outbox/{id}`, `POST /outbox/{id}/retry` and `/discard`.

use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path, State as Axum};
use gx_auth::{Administrator, audit};
use gx_model::{CommandId, CommandKind, CommandStatus};
use gx_outbox::CommandFilter;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, text};
use gx_serve::page::Page;
use gx_serve::problem::ProblemBody;
use gx_serve::{Json, Problem, Query, Reply, RequestId};
use serde_json::Value;
use utoipa::IntoParams;

use super::wire::{CommandDetail, CommandItem, EnvelopeItem};
use super::{Decision, no_command, refused};
use crate::State;
use crate::paging::PageRequest;
use crate::reason::ReasonBody;

/// Which commands.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the fields describe the query; OutboxPage is what is read")]
pub(crate) struct OutboxQuery {
    /// A command status, such as DEAD.
    status: Option<String>,
    /// A kind of command, such as CREATE_USER.
    kind: Option<String>,
    /// The profileId of the person whom they concern.
    person: Option<String>,
    /// What keeps them in order: a Fabric User ID, `treasury_CC`, `SYSTEM` or `SYSTEM_PAUSE`.
    aggregate: Option<String>,
    /// 1 to 100, 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
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

struct Kind(CommandKind);

impl Field for Kind {
    fn read(value: &Value) -> Result<Self, FieldError> {
        CommandKind::from_name(text(value)?).map(Self).ok_or_else(|| {
            let names: Vec<_> = CommandKind::ALL.iter().map(|kind| kind.name()).collect();
            FieldError::new("format", format!("must be one of {}", names.join(", ")))
        })
    }
}

/// The page of commands that was asked for.
pub(crate) struct OutboxPage {
    status: Option<Status>,
    kind: Option<Kind>,
    person: Option<Text<64>>,
    aggregate: Option<Text<64>>,
    page: PageRequest,
}

impl FromFields for OutboxPage {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let status = fields.optional("status");
        let kind = fields.optional("kind");
        let person = fields.optional("person");
        let aggregate = fields.optional("aggregate");
        let page = PageRequest::from_fields(fields);
        Some(Self {
            status: status?,
            kind: kind?,
            person: person?,
            aggregate: aggregate?,
            page: page?,
        })
    }
}

/// A command's id in a path. Whatever cannot be one is nobody's.
pub(crate) struct Id(CommandId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.ok().and_then(|Path(id)| id.parse().ok()).map(Self).ok_or_else(no_command)
    }
}

/// Commands on their way to the ledger, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/outbox",
    tag = "operations",
    params(OutboxQuery),
    responses((status = 200, description = "A page of commands.", body = Page<CommandItem>))
)]
pub(crate) async fn list(
    Axum(state): Axum<State>,
    Query(wanted): Query<OutboxPage>,
) -> Result<Reply<Page<CommandItem>>, Problem> {
    let limit = wanted.page.limit;
    let filter = CommandFilter {
        status: wanted.status.map(|status| status.0),
        kind: wanted.kind.map(|kind| kind.0),
        profile_id: wanted.person.as_ref().map(|person| person.0.as_str()),
        aggregate_key: wanted.aggregate.as_ref().map(|aggregate| aggregate.0.as_str()),
        below: wanted.page.below(),
    };
    let mut conn = state.base.connection().await?;
    let rows = gx_outbox::list(&mut conn, &filter, limit.with_one_more()).await?;
    Ok(Reply::ok(Page::cut(rows, limit, |row| row.number).map(CommandItem::from)))
}

/// One command, with every envelope that carried it and what the ledger said.
#[utoipa::path(
    get,
    path = "/api/v1/admin/outbox/{id}",
    tag = "operations",
    params(("id" = String, Path, description = "commandId")),
    responses(
        (status = 200, description = "The command.", body = CommandDetail),
        (status = 404, description = "`no_command`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(
    Axum(state): Axum<State>,
    Id(id): Id,
) -> Result<Reply<CommandDetail>, Problem> {
    let mut conn = state.base.connection().await?;
    let row = gx_outbox::command(&mut conn, id).await?.ok_or_else(no_command)?;
    let envelopes = gx_outbox::attempts(&mut conn, id).await?;
    let envelopes = envelopes.into_iter().map(EnvelopeItem::from).collect();
    Ok(Reply::ok(CommandDetail { command: row.into(), envelopes }))
}

/// Sends a dead command again, with fresh budgets. Where the ledger has cancelled its id and
/// nobody else could ask anew, it goes under another one, which the answer names.
#[utoipa::path(
    post,
    path = "/api/v1/admin/outbox/{id}/retry",
    tag = "operations",
    params(("id" = String, Path, description = "commandId")),
    request_body = ReasonBody,
    responses(
        (status = 200, description = "It is tried again.", body = CommandItem),
        (status = 404, description = "`no_command`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`command_not_open`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn retry(
    Axum(state): Axum<State>,
    Id(id): Id,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(body): Json<ReasonBody>,
) -> Result<Reply<CommandItem>, Problem> {
    let decision = decision(&who, &body, &request_id);
    let mut conn = state.base.connection().await?;
    let now = state.base.clock.now();
    let goes_as = super::retry_command(&mut conn, id, &decision, now).await.map_err(refused)?;
    state.waker.wake();
    let row = gx_outbox::command(&mut conn, goes_as).await?.ok_or_else(no_command)?;
    Ok(Reply::ok(row.into()))
}

/// Withdraws a command that is not settled. It is DISCARDED when the ledger has cancelled its
/// id; until then it is PENDING and `giveUp` says so.
#[utoipa::path(
    post,
    path = "/api/v1/admin/outbox/{id}/discard",
    tag = "operations",
    params(("id" = String, Path, description = "commandId")),
    request_body = ReasonBody,
    responses(
        (status = 200, description = "It is withdrawn, or will be.", body = CommandItem),
        (status = 404, description = "`no_command`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`command_not_open`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn discard(
    Axum(state): Axum<State>,
    Id(id): Id,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(body): Json<ReasonBody>,
) -> Result<Reply<CommandItem>, Problem> {
    let decision = decision(&who, &body, &request_id);
    let mut conn = state.base.connection().await?;
    let now = state.base.clock.now();
    super::discard_command(&mut conn, id, &decision, now).await.map_err(refused)?;
    state.waker.wake();
    let row = gx_outbox::command(&mut conn, id).await?.ok_or_else(no_command)?;
    Ok(Reply::ok(row.into()))
}

fn decision<'a>(who: &'a Administrator, body: &'a ReasonBody, request_id: &'a str) -> Decision<'a> {
    Decision {
        actor: audit::Actor::Admin(&who.admin_id),
        reason: &body.reason.0,
        request_id: Some(request_id),
    }
}
