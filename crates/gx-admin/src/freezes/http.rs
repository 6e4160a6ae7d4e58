//! HTTP routes `POST /api/v1/admin/users/{id}/freeze` and `/unfreeze`, registered by
//! [`crate::service`]. A `Problem` is the answer to the client.

use ::http::StatusCode;
use axum::extract::State;
use gx_auth::Administrator;
use gx_db::ProfileId;
use gx_model::ReasonCode;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, one_of};
use gx_serve::{Json, Problem, Reply};
use serde_json::Value;
use utoipa::ToSchema;

use crate::acts::{Act, ActRequest, ActTexts, CommandBody, FreezeAction};
use crate::users::ProfilePath;
use crate::{ServiceState, request_act};

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

/// Requests the freeze or unfreeze, and returns the command or the proposal.
async fn send(
    state: &ServiceState,
    who: &Administrator,
    profile_id: ProfileId,
    action: FreezeAction,
    request: FreezeRequest,
) -> Result<Reply<CommandBody>, Problem> {
    let reason: ReasonCode = request.reason.0.parse().expect("REASONS are reason codes");
    let notes = request.notes.map(|Text(notes)| notes);
    let act = Act::Freeze { profile_id, action, reason };
    let wanted = ActRequest { act, texts: ActTexts { reason: None, notes } };
    let answer = request_act(state, who, &wanted).await?;
    Ok(Reply(StatusCode::ACCEPTED, answer.into()))
}

/// Freezes a wallet. Transfers from it are refused from the next request on; the freeze is final
/// once the ledger has confirmed it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/freeze",
    tag = "freezes",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 202, description = "The command or the proposal is stored.", body = CommandBody))
)]
pub(crate) async fn freeze(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<FreezeRequest>,
) -> Result<Reply<CommandBody>, Problem> {
    send(&state, &who, id, FreezeAction::Freeze, request).await
}

/// Unfreezes a wallet. Transfers are possible again once the ledger has confirmed it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/unfreeze",
    tag = "freezes",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 202, description = "The command or the proposal is stored.", body = CommandBody))
)]
pub(crate) async fn unfreeze(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<FreezeRequest>,
) -> Result<Reply<CommandBody>, Problem> {
    send(&state, &who, id, FreezeAction::Unfreeze, request).await
}
