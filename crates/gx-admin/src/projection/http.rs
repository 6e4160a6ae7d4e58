//! HTTP routes `POST /api/v1/admin/projection/verify` and `/projection/rebuild`, registered by
//! [`crate::service`]. A `Problem` is the answer to the client.

use ::http::StatusCode;
use axum::extract::State;
use gx_auth::Administrator;
use gx_outbox::tasks::Task;
use gx_serve::fields::{Fields, FromFields};
use gx_serve::{Json, Problem, Reply};
use utoipa::ToSchema;

use crate::ServiceState;
use crate::audit_reason::{AuditReason, ReasonBody};
use crate::commands::AuditedDecision;
use crate::dead_events::http::TaskBody;

/// The kind of a rebuild, and the reason.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct RebuildBody {
    /// Reason for the audit log.
    #[schema(value_type = String, min_length = 1, max_length = 200,
             example = "The comparison found a difference")]
    reason: AuditReason,
    /// `true` to report the differences and change nothing; `false` by default.
    #[schema(value_type = Option<bool>)]
    dry_run: bool,
}

impl FromFields for RebuildBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (reason, dry_run) = (fields.required("reason"), fields.optional("dryRun"));
        Some(Self { reason: reason?, dry_run: dry_run?.unwrap_or(false) })
    }
}

/// Asks the projector to compare all balances, people, countries and pools with the ledger.
#[utoipa::path(
    post,
    path = "/api/v1/admin/projection/verify",
    tag = "operations",
    responses((status = 202, description = "The task is stored.", body = TaskBody))
)]
pub(crate) async fn verify(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(body): Json<ReasonBody>,
) -> Result<Reply<TaskBody>, Problem> {
    let task = ("projection.verify_asked", Task::VerifyProjection {});
    ask(&state, task, &who, &body.reason).await
}

/// Asks the projector to make the read model again from block 0. It works in copies of the tables,
/// and corrects the rows that differ.
#[utoipa::path(
    post,
    path = "/api/v1/admin/projection/rebuild",
    tag = "operations",
    responses((status = 202, description = "The task is stored.", body = TaskBody))
)]
pub(crate) async fn rebuild(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(body): Json<RebuildBody>,
) -> Result<Reply<TaskBody>, Problem> {
    let task = ("projection.rebuild_asked", Task::RebuildProjection { switch: !body.dry_run });
    ask(&state, task, &who, &body.reason).await
}

/// Stores a task and returns it. The projector carries it out later.
async fn ask(
    state: &ServiceState,
    task: (&str, Task),
    who: &Administrator,
    reason: &AuditReason,
) -> Result<Reply<TaskBody>, Problem> {
    let decision = AuditedDecision::of(who, reason, &state.base.entropy);
    let (now, channel) = (state.base.clock.now(), state.base.channel());
    let task_id = state.base.entropy.id(now).to_string();
    let mut tx = state.base.begin().await?;
    let asked = super::ask(&mut tx, channel, task, &task_id, &decision, now).await?;
    tx.commit().await?;
    Ok(Reply(StatusCode::ACCEPTED, asked.into()))
}
