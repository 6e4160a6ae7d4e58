//! HTTP routes `POST /api/v1/admin/users/{id}/lock` and `/unlock`, registered by
//! [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::Administrator;
use gx_serve::fields::{Fields, FromFields, Text};
use gx_serve::{Json, Problem, Reply};
use serde::Serialize;
use utoipa::ToSchema;

use super::LockReason;
use crate::ServiceState;
use crate::audit_reason::AuditReason;
use crate::users::ProfilePath;

/// The reason for a lock or another change of an account's state.
#[derive(ToSchema)]
pub(crate) struct LockRequest {
    /// Reason for the audit log.
    #[schema(value_type = String, min_length = 1, max_length = 200,
             example = "The phone was stolen")]
    reason: AuditReason,
    /// Notes for other administrators.
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
    /// Returns the reason and the notes.
    pub(crate) fn reason(&self) -> LockReason<'_> {
        let notes = self.notes.as_ref().map(|notes| notes.0.as_str());
        LockReason { reason: &self.reason.0, notes }
    }
}

/// Whether the account is locked now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LockBody {
    is_locked: bool,
}

/// Locks an account. All of its tokens are refused from the next request on.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/lock",
    tag = "locks",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "Locked.", body = LockBody))
)]
pub(crate) async fn lock(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<LockRequest>,
) -> Result<Reply<LockBody>, Problem> {
    super::set_lock(&state, &who, &id, true, &request.reason()).await?;
    Ok(Reply::ok(LockBody { is_locked: true }))
}

/// Unlocks an account, also one that is blocked for a while after failed sign-ins. The person must
/// sign in again.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/unlock",
    tag = "locks",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "Unlocked.", body = LockBody))
)]
pub(crate) async fn unlock(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<LockRequest>,
) -> Result<Reply<LockBody>, Problem> {
    super::set_lock(&state, &who, &id, false, &request.reason()).await?;
    Ok(Reply::ok(LockBody { is_locked: false }))
}
