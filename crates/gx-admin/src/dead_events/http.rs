//! `GET /api/v1/admin/dead-events` and `/dead-events/{id}`, `POST /dead-events/{id}/replay` and
//! `/dead-events/replay`, `GET /projection/tasks/{id}`.

use ::http::StatusCode;
use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path, State as Axum};
use gx_auth::{Administrator, audit};
use gx_outbox::tasks::{self, TaskRow};
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, text};
use gx_serve::page::Page;
use gx_serve::problem::ProblemBody;
use gx_serve::{Json, Problem, Query, Reply, RequestId};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::{
    DeadEvent, DeadEventFilter, DeadEventState, NO_TASK, Replay, no_dead_event, refused, store,
};
use crate::State;
use crate::commands::Decision;
use crate::paging::PageRequest;
use crate::reason::ReasonBody;

/// Which dead events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the fields describe the query; DeadEventPage is what is read")]
pub(crate) struct DeadEventQuery {
    /// HELD or REPLAYED.
    state: Option<String>,
    /// An event's name, such as UserCreated.
    event: Option<String>,
    /// Something that they hold back: a Fabric User ID, `treasury_CC`, a pool or `SYSTEM`.
    aggregate: Option<String>,
    /// 1 to 100, 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

impl Field for DeadEventState {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        let known = Self::ALL.into_iter().find(|state| state.name() == given);
        known.ok_or_else(|| FieldError::new("format", "must be HELD or REPLAYED"))
    }
}

/// The page of dead events that was asked for.
pub(crate) struct DeadEventPage {
    state: Option<DeadEventState>,
    event: Option<Text<200>>,
    aggregate: Option<Text<200>>,
    page: PageRequest,
}

impl FromFields for DeadEventPage {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let state = fields.optional("state");
        let event = fields.optional("event");
        let aggregate = fields.optional("aggregate");
        let page = PageRequest::from_fields(fields);
        Some(Self { state: state?, event: event?, aggregate: aggregate?, page: page? })
    }
}

/// A dead event with what it says.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadEventDetail {
    #[serde(flatten)]
    event: DeadEvent,
    /// As it stood on the wire.
    payload: Value,
}

/// What the projector was asked to do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskBody {
    task_id: String,
    channel: String,
    kind: String,
    #[schema(value_type = Object)]
    arguments: Value,
    requested_by: String,
    #[serde(with = "gx_serve::moment")]
    requested_at: OffsetDateTime,
    /// WAITING or DONE.
    state: String,
    /// What came of it, once it is DONE.
    #[schema(required, value_type = Option<Object>)]
    report: Option<Value>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    finished_at: Option<OffsetDateTime>,
    /// Where to ask again.
    location: String,
}

impl From<TaskRow> for TaskBody {
    fn from(row: TaskRow) -> Self {
        Self {
            location: format!("/api/v1/admin/projection/tasks/{}", row.task_id),
            task_id: row.task_id,
            channel: row.channel,
            kind: row.kind,
            arguments: row.arguments,
            requested_by: row.requested_by,
            requested_at: row.requested_at,
            state: row.state,
            report: row.report,
            finished_at: row.finished_at,
        }
    }
}

/// A dead event's id in a path. Whatever cannot be one is nobody's.
pub(crate) struct Id(i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.ok().and_then(|Path(id)| id.parse().ok()).map(Self).ok_or_else(no_dead_event)
    }
}

/// A task's id in a path.
pub(crate) struct TaskId(String);

impl<S: Send + Sync> FromRequestParts<S> for TaskId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let plain = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        path.ok().map(|Path(id)| id).filter(plain).map(Self).ok_or_else(no_task)
    }
}

fn no_task() -> Problem {
    Problem::new(&NO_TASK, "The answer that accepted it has its address.")
}

/// Events that could not be applied, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/dead-events",
    tag = "operations",
    params(DeadEventQuery),
    responses((status = 200, description = "A page of events.", body = Page<DeadEvent>))
)]
pub(crate) async fn list(
    Axum(state): Axum<State>,
    Query(wanted): Query<DeadEventPage>,
) -> Result<Reply<Page<DeadEvent>>, Problem> {
    let limit = wanted.page.limit;
    let filter = DeadEventFilter {
        state: wanted.state,
        event_name: wanted.event.as_ref().map(|event| event.0.as_str()),
        aggregate: wanted.aggregate.as_ref().map(|aggregate| aggregate.0.as_str()),
        below: wanted.page.below(),
    };
    let mut conn = state.base.connection().await?;
    let rows = super::dead_events(&mut conn, &filter, limit.with_one_more()).await?;
    Ok(Reply::ok(Page::cut(rows, limit, |row| row.dead_event_id)))
}

/// One dead event, with what it says.
#[utoipa::path(
    get,
    path = "/api/v1/admin/dead-events/{id}",
    tag = "operations",
    params(("id" = String, Path, description = "deadEventId")),
    responses(
        (status = 200, description = "The event.", body = DeadEventDetail),
        (status = 404, description = "`no_dead_event`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(
    Axum(state): Axum<State>,
    Id(id): Id,
) -> Result<Reply<DeadEventDetail>, Problem> {
    let mut conn = state.base.connection().await?;
    let event = store::get(&mut conn, id).await?.ok_or_else(no_dead_event)?;
    let payload = store::payload(&mut conn, id).await?.ok_or_else(no_dead_event)?;
    Ok(Reply::ok(DeadEventDetail { event, payload }))
}

/// Asks the projector to apply a held event, once its cause is removed.
#[utoipa::path(
    post,
    path = "/api/v1/admin/dead-events/{id}/replay",
    tag = "operations",
    params(("id" = String, Path, description = "deadEventId")),
    request_body = ReasonBody,
    responses(
        (status = 202, description = "The projector was asked.", body = TaskBody),
        (status = 404, description = "`no_dead_event`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`not_held`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn replay_one(
    Axum(state): Axum<State>,
    Id(id): Id,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(body): Json<ReasonBody>,
) -> Result<Reply<TaskBody>, Problem> {
    ask(&state, Replay::One(id), &who, &body, &request_id).await
}

/// Asks the projector to apply every held event, in the chain's order.
#[utoipa::path(
    post,
    path = "/api/v1/admin/dead-events/replay",
    tag = "operations",
    request_body = ReasonBody,
    responses((status = 202, description = "The projector was asked.", body = TaskBody))
)]
pub(crate) async fn replay_all(
    Axum(state): Axum<State>,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(body): Json<ReasonBody>,
) -> Result<Reply<TaskBody>, Problem> {
    let replay = Replay::All { channel: state.base.channel() };
    ask(&state, replay, &who, &body, &request_id).await
}

async fn ask(
    state: &State,
    replay: Replay<'_>,
    who: &Administrator,
    body: &ReasonBody,
    request_id: &str,
) -> Result<Reply<TaskBody>, Problem> {
    let decision = Decision {
        actor: audit::Actor::Admin(&who.admin_id),
        reason: &body.reason.0,
        request_id: Some(request_id),
    };
    let now = state.base.clock.now();
    let task_id = state.base.entropy.id(now).to_string();
    let mut conn = state.base.connection().await?;
    let asked = super::ask_replay(&mut conn, replay, &task_id, &decision, now).await;
    Ok(Reply(StatusCode::ACCEPTED, asked.map_err(refused)?.into()))
}

/// Something that the projector was asked to do, and what came of it.
#[utoipa::path(
    get,
    path = "/api/v1/admin/projection/tasks/{id}",
    tag = "operations",
    params(("id" = String, Path, description = "taskId")),
    responses(
        (status = 200, description = "The task.", body = TaskBody),
        (status = 404, description = "`no_task`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn task(
    Axum(state): Axum<State>,
    TaskId(id): TaskId,
) -> Result<Reply<TaskBody>, Problem> {
    let mut conn = state.base.connection().await?;
    let row = tasks::get(&mut conn, &id).await?.ok_or_else(no_task)?;
    Ok(Reply::ok(row.into()))
}
