//! HTTP routes that change many commands: `POST /api/v1/admin/outbox/retry` and `/outbox/discard`,
//! registered by [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::Administrator;
use gx_db::PgConnection;
use gx_model::{CommandKind, CommandStatus};
use gx_outbox::failure::FailureClass;
use gx_outbox::operator::BulkFilter;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, one_of};
use gx_serve::problem::InvalidField;
use gx_serve::{Json, Problem, Reply};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::AuditedDecision;
use super::bulk::{BulkAction, BulkReport, bulk_step};
use crate::ServiceState;
use crate::audit_reason::AuditReason;

/// Most transactions of one request; `nextAfter` in the answer says where the next request
/// continues.
const MAX_STEPS: u32 = 10;

struct Class(FailureClass);

impl Field for Class {
    fn read(value: &Value) -> Result<Self, FieldError> {
        one_of(value, &FailureClass::ALL, FailureClass::name).map(Self)
    }
}

/// The filter of the commands to change, and the reason.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct BulkBody {
    /// Status of the commands, DEAD by default; a discard also allows PENDING, HELD and BLOCKED.
    #[schema(value_type = Option<String>)]
    status: Option<CommandStatus>,
    /// A failure class that the commands were charged with, such as INVALID.
    #[schema(value_type = Option<String>)]
    class: Option<Class>,
    /// A kind of command, such as TRANSFER.
    #[schema(value_type = Option<String>)]
    kind: Option<CommandKind>,
    /// Only commands whose last change was at this time or later.
    since: Option<OffsetDateTime>,
    /// Only commands whose last change was before this time.
    until: Option<OffsetDateTime>,
    /// The `nextAfter` of the previous answer.
    after: Option<i64>,
    /// `true` to count the commands and change nothing.
    dry_run: Option<bool>,
    /// Reason for the audit log.
    #[schema(value_type = String, min_length = 1, max_length = 200,
             example = "The ledger is reachable again")]
    reason: AuditReason,
}

impl FromFields for BulkBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let status = fields.optional("status");
        let class = fields.optional("class");
        let kind = fields.optional("kind");
        let since = fields.optional("since");
        let until = fields.optional("until");
        let after = fields.optional("after");
        let dry_run = fields.optional("dryRun");
        let reason = fields.required("reason");
        Some(Self {
            status: status?,
            class: class?,
            kind: kind?,
            since: since?,
            until: until?,
            after: after?,
            dry_run: dry_run?,
            reason: reason?,
        })
    }
}

/// Numbers of commands by what happened to them.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkAnswer {
    /// Number of matching commands, if the request was a dry run.
    #[schema(required)]
    matching: Option<i64>,
    #[serde(flatten)]
    report: BulkReport,
}

/// Sends many dead commands again, with fresh budgets; at most 1000 in one request.
#[utoipa::path(
    post,
    path = "/api/v1/admin/outbox/retry",
    tag = "operations",
    responses((status = 200, description = "Numbers of commands by result.", body = BulkAnswer))
)]
pub(crate) async fn retry(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(body): Json<BulkBody>,
) -> Result<Reply<BulkAnswer>, Problem> {
    run(&state, BulkAction::Retry, &who, &body).await
}

/// Withdraws many commands that are not settled; at most 1000 in one request.
#[utoipa::path(
    post,
    path = "/api/v1/admin/outbox/discard",
    tag = "operations",
    responses((status = 200, description = "Numbers of commands by result.", body = BulkAnswer))
)]
pub(crate) async fn discard(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(body): Json<BulkBody>,
) -> Result<Reply<BulkAnswer>, Problem> {
    run(&state, BulkAction::Discard, &who, &body).await
}

/// Takes steps until no command is left or the limit of a request is reached, and wakes the
/// submitter.
///
/// A problem of the database may come after steps that are committed. The same request can be
/// repeated then: commands that are retried or discarded no longer match.
async fn run(
    state: &ServiceState,
    action: BulkAction,
    who: &Administrator,
    body: &BulkBody,
) -> Result<Reply<BulkAnswer>, Problem> {
    let filter = BulkFilter {
        status: body.status.unwrap_or(CommandStatus::Dead),
        class: body.class.as_ref().map(|class| class.0),
        kind: body.kind,
        since: body.since,
        until: body.until,
    };
    if !action.takes(filter.status) {
        return Err(status_not_allowed(action));
    }
    let mut conn = state.base.connection().await?;
    if body.dry_run == Some(true) {
        let matching = gx_outbox::operator::count_matching(&mut conn, &filter).await?;
        return Ok(Reply::ok(BulkAnswer {
            matching: Some(matching),
            report: BulkReport::default(),
        }));
    }
    let decision = AuditedDecision::of(who, &body.reason, &state.base.entropy);
    let stepped = take_steps(state, &mut conn, action, &filter, body.after, &decision).await;
    // Also after an error: the steps before it may have made commands due.
    state.waker.wake();
    Ok(Reply::ok(BulkAnswer { matching: None, report: stepped? }))
}

async fn take_steps(
    state: &ServiceState,
    conn: &mut PgConnection,
    action: BulkAction,
    filter: &BulkFilter,
    after: Option<i64>,
    decision: &AuditedDecision<'_>,
) -> Result<BulkReport, sqlx::Error> {
    let (mut report, mut after) = (BulkReport::default(), after.unwrap_or(0));
    for _ in 0..MAX_STEPS {
        let now = state.base.clock.now();
        let step = bulk_step(conn, action, filter, after, decision, now).await?;
        report.add(&step);
        let Some(next) = step.next_after else { break };
        after = next;
    }
    Ok(report)
}

/// Returns the problem for a status whose commands the action cannot change.
fn status_not_allowed(action: BulkAction) -> Problem {
    Problem::invalid(vec![InvalidField {
        pointer: "/status".to_owned(),
        code: "format",
        message: format!("must be {}", action.allowed_statuses()),
    }])
}
