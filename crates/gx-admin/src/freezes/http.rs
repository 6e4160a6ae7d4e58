//! HTTP routes `POST /api/v1/admin/users/{id}/freeze` and `/unfreeze`, registered by
//! [`crate::service`]. A `Problem` is the answer to the client.

use ::http::StatusCode;
use axum::extract::State;
use gx_auth::Administrator;
use gx_model::{CommandId, ReasonCode};
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, one_of};
use gx_serve::{Json, Problem, Reply};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{FreezeAction, send};
use crate::ServiceState;
use crate::users::ProfilePath;

/// Reason codes that may be stored on the ledger: none of them is personal data.
const REASONS: [&str; 5] =
    ["ADMIN_ACTION", "SUSPICIOUS_ACTIVITY", "COMPLIANCE_REVIEW", "COURT_ORDER", "USER_REQUEST"];

struct FreezeReason(&'static str);

impl Field for FreezeReason {
    fn read(value: &Value) -> Result<Self, FieldError> {
        one_of(value, &REASONS, |reason| reason).map(Self)
    }
}

/// The reason for a freeze or unfreeze.
#[derive(ToSchema)]
pub(crate) struct FreezeRequest {
    /// Reason code, which is stored on the ledger.
    #[schema(value_type = String, example = "COMPLIANCE_REVIEW",
             pattern = "^(ADMIN_ACTION|SUSPICIOUS_ACTIVITY|COMPLIANCE_REVIEW|COURT_ORDER|USER_REQUEST)$")]
    reason: FreezeReason,
    /// Notes for other administrators; they are not sent to the ledger.
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

/// The command that freezes or unfreezes the wallet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FreezeBody {
    /// Id of the command in the outbox.
    #[schema(value_type = String, example = "7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91")]
    command_id: CommandId,
}

/// Freezes a wallet. Transfers from it are refused from the next request on; the freeze is final
/// once the ledger has confirmed it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/freeze",
    tag = "freezes",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 202, description = "The command is stored.", body = FreezeBody))
)]
pub(crate) async fn freeze(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<FreezeRequest>,
) -> Result<Reply<FreezeBody>, Problem> {
    let command_id = send(&state, &who, &id, FreezeAction::Freeze, &request).await?;
    Ok(Reply(StatusCode::ACCEPTED, FreezeBody { command_id }))
}

/// Unfreezes a wallet. Transfers are possible again once the ledger has confirmed it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/unfreeze",
    tag = "freezes",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 202, description = "The command is stored.", body = FreezeBody))
)]
pub(crate) async fn unfreeze(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<FreezeRequest>,
) -> Result<Reply<FreezeBody>, Problem> {
    let command_id = send(&state, &who, &id, FreezeAction::Unfreeze, &request).await?;
    Ok(Reply(StatusCode::ACCEPTED, FreezeBody { command_id }))
}
