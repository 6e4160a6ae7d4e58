//! `POST /api/v1/admin/users/{id}/lock` and `/unlock`.

use axum::extract::State as Axum;
use gx_auth::Administrator;
use gx_serve::fields::{Fields, FromFields, Text};
use gx_serve::problem::ProblemBody;
use gx_serve::{Json, Problem, Reply, RequestId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Because;
use crate::State;
use crate::reason::Reason;
use crate::users::ProfileId;

/// Why.
#[derive(ToSchema)]
pub(crate) struct LockRequest {
    /// What the audit log says.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    reason: Reason,
    /// For other administrators.
    #[schema(value_type = Option<String>, max_length = 1000)]
    notes: Option<Text<1000>>,
}

impl FromFields for LockRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reason = fields.required("reason");
        let notes = fields.optional("notes");
        Some(Self { reason: reason?, notes: notes? })
    }
}

impl LockRequest {
    fn because(&self) -> Because<'_> {
        let notes = self.notes.as_ref().map(|notes| notes.0.as_str());
        Because { reason: &self.reason.0, notes }
    }
}

/// Whether the account is locked.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LockBody {
    is_locked: bool,
}

/// Locks an account: every token it has is refused from the next request on.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/lock",
    tag = "locks",
    params(("id" = String, Path, description = "profileId")),
    request_body = LockRequest,
    responses(
        (status = 200, description = "Locked.", body = LockBody),
        (status = 404, description = "`no_user`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`already_so`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn lock(
    Axum(state): Axum<State>,
    ProfileId(id): ProfileId,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(request): Json<LockRequest>,
) -> Result<Reply<LockBody>, Problem> {
    super::set_lock(&state, &who, &id, true, &request.because(), &request_id).await?;
    Ok(Reply::ok(LockBody { is_locked: true }))
}

/// Unlocks an account; the person signs in again.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/unlock",
    tag = "locks",
    params(("id" = String, Path, description = "profileId")),
    request_body = LockRequest,
    responses(
        (status = 200, description = "Unlocked.", body = LockBody),
        (status = 404, description = "`no_user`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`already_so`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn unlock(
    Axum(state): Axum<State>,
    ProfileId(id): ProfileId,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(request): Json<LockRequest>,
) -> Result<Reply<LockBody>, Problem> {
    super::set_lock(&state, &who, &id, false, &request.because(), &request_id).await?;
    Ok(Reply::ok(LockBody { is_locked: false }))
}
