//! HTTP routes `POST /api/v1/admin/users/{id}/factors/reset` and
//! `POST /api/v1/admin/administrators/{id}/factors/reset`.

use axum::extract::State;
use gx_auth::Administrator;
use gx_serve::{Json, Problem};
use http::StatusCode;

use super::AdminPath;
use crate::ServiceState;
use crate::audit_reason::ReasonBody;
use crate::users::ProfilePath;

/// Removes the second factors and passkeys of a person who has lost them. All sessions of the
/// person end.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/factors/reset",
    tag = "second factors",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 202, description = "The factors are removed."))
)]
pub(crate) async fn reset_user(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<ReasonBody>,
) -> Result<StatusCode, Problem> {
    super::reset_user(&state, &who, &id, &request.reason.0).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Removes the second factors and passkeys of another administrator who has lost them. All sessions
/// of that administrator end; the next sign-in enrols a new factor.
#[utoipa::path(
    post,
    path = "/api/v1/admin/administrators/{id}/factors/reset",
    tag = "second factors",
    params(("id" = String, Path, description = "adminId")),
    responses((status = 202, description = "The factors are removed."))
)]
pub(crate) async fn reset_administrator(
    State(state): State<ServiceState>,
    AdminPath(id): AdminPath,
    who: Administrator,
    Json(request): Json<ReasonBody>,
) -> Result<StatusCode, Problem> {
    super::reset_administrator(&state, &who, &id, &request.reason.0).await?;
    Ok(StatusCode::ACCEPTED)
}
