//! `POST /api/v1/admin/projection/verify` and `/projection/rebuild`.

use ::http::StatusCode;
use axum::extract::State as Axum;
use gx_auth::{Administrator, audit};
use gx_outbox::tasks::Task;
use gx_serve::fields::{Fields, FromFields};
use gx_serve::{Json, Problem, Reply, RequestId};
use utoipa::ToSchema;

use crate::State;
use crate::commands::Decision;
use crate::dead_events::http::TaskBody;
use crate::reason::{Reason, ReasonBody};

/// How to rebuild, and why.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct RebuildBody {
    /// What the audit log says.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    reason: Reason,
    /// Whether to report only what differs; false by default.
    #[schema(value_type = Option<bool>)]
    dry_run: bool,
}

impl FromFields for RebuildBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (reason, dry_run) = (fields.required("reason"), fields.optional("dryRun"));
        Some(Self { reason: reason?, dry_run: dry_run?.unwrap_or(false) })
    }
}

/// Asks the projector to compare every balance, person, country and pool with the ledger.
#[utoipa::path(
    post,
    path = "/api/v1/admin/projection/verify",
    tag = "operations",
    request_body = ReasonBody,
    responses((status = 202, description = "The projector was asked.", body = TaskBody))
)]
pub(crate) async fn verify(
    Axum(state): Axum<State>,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(body): Json<ReasonBody>,
) -> Result<Reply<TaskBody>, Problem> {
    let task = ("projection.verify_asked", Task::VerifyProjection {});
    ask(&state, task, &who, &body.reason, &request_id).await
}

/// Asks the projector to make the read model anew from block 0 beside the live one, and to put
/// right what differs.
#[utoipa::path(
    post,
    path = "/api/v1/admin/projection/rebuild",
    tag = "operations",
    request_body = RebuildBody,
    responses((status = 202, description = "The projector was asked.", body = TaskBody))
)]
pub(crate) async fn rebuild(
    Axum(state): Axum<State>,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(body): Json<RebuildBody>,
) -> Result<Reply<TaskBody>, Problem> {
    let task = ("projection.rebuild_asked", Task::RebuildProjection { switch: !body.dry_run });
    ask(&state, task, &who, &body.reason, &request_id).await
}

async fn ask(
    state: &State,
    task: (&str, Task),
    who: &Administrator,
    reason: &Reason,
    request_id: &str,
) -> Result<Reply<TaskBody>, Problem> {
    let decision = Decision {
        actor: audit::Actor::Admin(&who.admin_id),
        reason: &reason.0,
        request_id: Some(request_id),
    };
    let (now, channel) = (state.base.clock.now(), state.base.channel());
    let task_id = state.base.entropy.id(now).to_string();
    let mut conn = state.base.connection().await?;
    let asked = super::ask(&mut conn, channel, task, &task_id, &decision, now).await?;
    Ok(Reply(StatusCode::ACCEPTED, asked.into()))
}
