//! `POST /api/v1/admin/users/{id}/freeze` and `/unfreeze`.

use ::http::StatusCode;
use axum::extract::State as Axum;
use gx_auth::Administrator;
use gx_model::ReasonCode;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, text};
use gx_serve::problem::ProblemBody;
use gx_serve::{Json, Problem, Reply, RequestId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Wish, send};
use crate::State;
use crate::users::ProfileId;

/// The reasons that the ledger may know.
const REASONS: [&str; 5] =
    ["ADMIN_ACTION", "SUSPICIOUS_ACTIVITY", "COMPLIANCE_REVIEW", "COURT_ORDER", "USER_REQUEST"];

struct Reason(&'static str);

impl Field for Reason {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        let known = REASONS.into_iter().find(|reason| *reason == given).map(Self);
        known.ok_or_else(|| {
            FieldError::new("format", format!("must be one of {}", REASONS.join(", ")))
        })
    }
}

/// Why.
#[derive(ToSchema)]
pub(crate) struct FreezeRequest {
    /// The ledger keeps it.
    #[schema(value_type = String, example = "COMPLIANCE_REVIEW")]
    reason: Reason,
    /// For other administrators; the ledger never sees them.
    #[schema(value_type = Option<String>, max_length = 1000)]
    notes: Option<Text<1000>>,
}

impl FromFields for FreezeRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reason = fields.required("reason");
        let notes = fields.optional("notes");
        Some(Self { reason: reason?, notes: notes? })
    }
}

impl FreezeRequest {
    pub(super) fn reason(&self) -> &'static str {
        self.reason.0
    }

    pub(super) fn reason_code(&self) -> ReasonCode {
        self.reason.0.parse().expect("REASONS are reason codes")
    }

    pub(super) fn notes(&self) -> Option<&str> {
        self.notes.as_ref().map(|notes| notes.0.as_str())
    }
}

/// The wish is on its way to the ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FreezeBody {
    /// Under which the outbox lists it.
    command_id: String,
}

/// Freezes a wallet: nothing can be sent from it from the next request on; for good once the
/// ledger has confirmed it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/freeze",
    tag = "freezes",
    params(("id" = String, Path, description = "profileId")),
    request_body = FreezeRequest,
    responses(
        (status = 202, description = "On its way.", body = FreezeBody),
        (status = 404, description = "`no_user`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`not_on_ledger`, `already_so` or `freeze_in_progress`.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`system_paused`: until the ledger is resumed.",
         body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn freeze(
    Axum(state): Axum<State>,
    ProfileId(id): ProfileId,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(request): Json<FreezeRequest>,
) -> Result<Reply<FreezeBody>, Problem> {
    let command_id = send(&state, &who, &id, Wish::Freeze, &request, &request_id).await?;
    Ok(Reply(StatusCode::ACCEPTED, FreezeBody { command_id: command_id.to_string() }))
}

/// Ends a freeze, once the ledger has confirmed it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/unfreeze",
    tag = "freezes",
    params(("id" = String, Path, description = "profileId")),
    request_body = FreezeRequest,
    responses(
        (status = 202, description = "On its way.", body = FreezeBody),
        (status = 404, description = "`no_user`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`not_on_ledger`, `already_so` or `freeze_in_progress`.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`system_paused`: until the ledger is resumed.",
         body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn unfreeze(
    Axum(state): Axum<State>,
    ProfileId(id): ProfileId,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(request): Json<FreezeRequest>,
) -> Result<Reply<FreezeBody>, Problem> {
    let command_id = send(&state, &who, &id, Wish::Unfreeze, &request, &request_id).await?;
    Ok(Reply(StatusCode::ACCEPTED, FreezeBody { command_id: command_id.to_string() }))
}
