//! HTTP routes of dead events and projector tasks: `GET /api/v1/admin/dead-events` and
//! `/dead-events/{id}`, `POST /dead-events/{id}/replay` and `/dead-events/replay`,
//! `GET /projection/tasks/{id}`. Registered by [`crate::service`]. A `Problem` is the answer to the
//! client.

use ::http::StatusCode;
use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path, State};
use gx_auth::Administrator;
use gx_db::Named;
use gx_model::TaskState;
use gx_outbox::tasks::{self, TaskRow};
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, one_of};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Json, Problem, Query, Reply};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::{
    DeadEvent, DeadEventFilter, DeadEventState, NO_TASK, Replay, no_dead_event, refused, store,
};
use crate::ServiceState;
use crate::audit_reason::ReasonBody;
use crate::commands::AuditedDecision;

/// Filters and page of a list of dead events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeadEventQuery {
    /// HELD or REPLAYED.
    #[param(value_type = Option<String>)]
    state: Option<DeadEventState>,
    /// Name of the event, such as UserCreated.
    #[param(value_type = Option<String>)]
    event: Option<Text<200>>,
    /// An aggregate of the event: a Fabric User ID, `treasury_CC`, a pool or `SYSTEM`.
    #[param(value_type = Option<String>)]
    aggregate: Option<Text<200>>,
    #[param(ignore)]
    page: PageQuery<i64>,
}

impl Field for DeadEventState {
    fn read(value: &Value) -> Result<Self, FieldError> {
        one_of(value, &Self::ALL, Self::name)
    }
}

impl FromFields for DeadEventQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (state, event) = (fields.optional("state"), fields.optional("event"));
        let aggregate = fields.optional("aggregate");
        let page = PageQuery::from_fields(fields)?;
        Some(Self { state: state?, event: event?, aggregate: aggregate?, page })
    }
}

/// A dead event with its payload.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadEventDetail {
    #[serde(flatten)]
    event: DeadEvent,
    /// The event as it is in the block.
    payload: Value,
}

/// A task of the projector.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskBody {
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    task_id: String,
    #[schema(example = "gxchannel")]
    channel: String,
    #[schema(example = "VERIFY_PROJECTION")]
    kind: String,
    #[schema(value_type = Object)]
    arguments: Value,
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    requested_by: String,
    #[serde(with = "gx_serve::moment")]
    requested_at: OffsetDateTime,
    /// WAITING, DONE, FAILED or CANCELLED.
    #[schema(value_type = String, example = "WAITING")]
    state: Named<TaskState>,
    /// The projector's report, or `null` while the task is WAITING.
    #[schema(required, value_type = Option<Object>)]
    report: Option<Value>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    finished_at: Option<OffsetDateTime>,
    /// Path at which the task can be read again.
    #[schema(example = "/api/v1/admin/projection/tasks/01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
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

/// The dead event's id in a path. A text that is not an id is answered like an unknown id.
pub(crate) struct Id(i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.ok().and_then(|Path(id)| id.parse().ok()).map(Self).ok_or_else(no_dead_event)
    }
}

/// The task's id in a path. A text that is not an id is answered like an unknown id.
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
    Problem::new(&NO_TASK, "Take the path from `location` in the answer that accepted the request.")
}

/// Lists events that could not be applied, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/dead-events",
    tag = "operations",
    params(DeadEventQuery, PageQuery<i64>),
    responses((status = 200, description = "A page of events.", body = Page<DeadEvent>))
)]
pub(crate) async fn list(
    State(state): State<ServiceState>,
    Query(wanted): Query<DeadEventQuery>,
) -> Result<Reply<Page<DeadEvent>>, Problem> {
    let limit = wanted.page.limit;
    let filter = DeadEventFilter {
        state: wanted.state,
        event_name: wanted.event.as_ref().map(|event| event.0.as_str()),
        aggregate: wanted.aggregate.as_ref().map(|aggregate| aggregate.0.as_str()),
        below: wanted.page.key().copied(),
    };
    let mut conn = state.base.connection().await?;
    let rows = super::dead_events(&mut conn, &filter, limit.with_one_more()).await?;
    Ok(Reply::ok(Page::cut(rows, limit, |row| row.dead_event_id)))
}

/// Returns one dead event with its payload.
#[utoipa::path(
    get,
    path = "/api/v1/admin/dead-events/{id}",
    tag = "operations",
    params(("id" = String, Path, description = "deadEventId")),
    responses((status = 200, description = "The event.", body = DeadEventDetail))
)]
pub(crate) async fn get(
    State(state): State<ServiceState>,
    Id(id): Id,
) -> Result<Reply<DeadEventDetail>, Problem> {
    let mut conn = state.base.connection().await?;
    let event = store::get(&mut conn, id).await?.ok_or_else(no_dead_event)?;
    let payload = store::payload(&mut conn, id).await?.ok_or_else(no_dead_event)?;
    Ok(Reply::ok(DeadEventDetail { event, payload }))
}

/// Asks the projector to apply a held event again. Remove the cause of the failure first.
#[utoipa::path(
    post,
    path = "/api/v1/admin/dead-events/{id}/replay",
    tag = "operations",
    params(("id" = String, Path, description = "deadEventId")),
    responses((status = 202, description = "The task is stored.", body = TaskBody))
)]
pub(crate) async fn replay_one(
    State(state): State<ServiceState>,
    Id(id): Id,
    who: Administrator,
    Json(body): Json<ReasonBody>,
) -> Result<Reply<TaskBody>, Problem> {
    ask(&state, Replay::One(id), &who, &body).await
}

/// Asks the projector to apply all held events again, in the order of the chain.
#[utoipa::path(
    post,
    path = "/api/v1/admin/dead-events/replay",
    tag = "operations",
    responses((status = 202, description = "The task is stored.", body = TaskBody))
)]
pub(crate) async fn replay_all(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(body): Json<ReasonBody>,
) -> Result<Reply<TaskBody>, Problem> {
    let replay = Replay::All { channel: state.base.channel() };
    ask(&state, replay, &who, &body).await
}

/// Stores the task of a replay and returns it. The projector carries it out later.
async fn ask(
    state: &ServiceState,
    replay: Replay<'_>,
    who: &Administrator,
    body: &ReasonBody,
) -> Result<Reply<TaskBody>, Problem> {
    let decision = AuditedDecision::of(who, &body.reason, &state.base.entropy);
    let now = state.base.clock.now();
    let task_id = state.base.entropy.id(now).to_string();
    let mut tx = state.base.begin().await?;
    let asked = super::ask_replay(&mut tx, replay, &task_id, &decision, now).await;
    let task = asked.map_err(refused)?;
    tx.commit().await?;
    Ok(Reply(StatusCode::ACCEPTED, task.into()))
}

/// Returns a task of the projector, with its report once it has ended.
#[utoipa::path(
    get,
    path = "/api/v1/admin/projection/tasks/{id}",
    tag = "operations",
    params(("id" = String, Path, description = "taskId")),
    responses((status = 200, description = "The task.", body = TaskBody))
)]
pub(crate) async fn task(
    State(state): State<ServiceState>,
    TaskId(id): TaskId,
) -> Result<Reply<TaskBody>, Problem> {
    let mut conn = state.base.connection().await?;
    let row = tasks::get(&mut conn, &id).await?.ok_or_else(no_task)?;
    Ok(Reply::ok(row.into()))
}
