//! HTTP routes `POST /api/v1/admin/users/{id}/factors/reset` and
//! `POST /api/v1/admin/administrators/{id}/factors/reset`.

use axum::extract::State;
use gx_auth::Administrator;
use gx_serve::{Json, Problem, Reply};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::acts::{Act, ActAnswer, ActRequest, ActTexts};
use crate::administrator_id::AdminPath;
use crate::audit_reason::ReasonBody;
use crate::users::ProfilePath;
use crate::{ServiceState, request_act};

/// Whether a second administrator must confirm the reset.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResetBody {
    /// Id of the proposal, or `null` if the factors are removed.
    #[schema(required, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    proposal_id: Option<String>,
}

/// Requests the reset.
async fn reset(
    state: &ServiceState,
    who: &Administrator,
    act: Act,
    request: ReasonBody,
) -> Result<Reply<ResetBody>, Problem> {
    let texts = ActTexts { reason: Some(request.reason.0), notes: None };
    let proposal_id = match request_act(state, who, &ActRequest { act, texts }).await? {
        ActAnswer::Proposed(id) => Some(id),
        ActAnswer::Performed(_) => None,
    };
    Ok(Reply(StatusCode::ACCEPTED, ResetBody { proposal_id }))
}

/// Removes the second factors and passkeys of a person who has lost them. All sessions of the
/// person end.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/factors/reset",
    tag = "second factors",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 202, description = "The factors are removed, or it is proposed.",
               body = ResetBody))
)]
pub(crate) async fn reset_user(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<ReasonBody>,
) -> Result<Reply<ResetBody>, Problem> {
    reset(&state, &who, Act::ResetUserFactors(id), request).await
}

/// Removes the second factors and passkeys of another administrator who has lost them. All sessions
/// of that administrator end; the next sign-in enrols a new factor.
#[utoipa::path(
    post,
    path = "/api/v1/admin/administrators/{id}/factors/reset",
    tag = "second factors",
    params(("id" = String, Path, description = "adminId")),
    responses((status = 202, description = "The factors are removed, or it is proposed.",
               body = ResetBody))
)]
pub(crate) async fn reset_administrator(
    State(state): State<ServiceState>,
    AdminPath(id): AdminPath,
    who: Administrator,
    Json(request): Json<ReasonBody>,
) -> Result<Reply<ResetBody>, Problem> {
    reset(&state, &who, Act::ResetAdministratorFactors(id), request).await
}
