//! HTTP routes `POST /api/v1/admin/users/{id}/claim`, `/release` and `/assign`, registered by
//! [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::Administrator;
use gx_db::AdminId;
use gx_serve::fields::{Fields, FromFields, Nothing};
use gx_serve::{Json, Problem, Reply};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Assignment;
use crate::ServiceState;
use crate::administrator_id::GivenAdminId;
use crate::users::ProfilePath;

/// The reviewer to whom a person is assigned.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct AssignmentRequest {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    admin_id: GivenAdminId,
}

impl FromFields for AssignmentRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { admin_id: fields.required("adminId")? })
    }
}

/// Who reviews a person, and until when.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssignmentBody {
    /// adminId of the reviewer, or `null` if nobody has claimed the person.
    #[schema(required, value_type = Option<String>,
             example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    assignee: Option<AdminId>,
    /// End of the lease, by the time of the database.
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    lease_until: Option<OffsetDateTime>,
}

impl From<Assignment> for AssignmentBody {
    fn from(assignment: Assignment) -> Self {
        let Assignment { assignee, lease_until } = assignment;
        Self { assignee: Some(assignee), lease_until: Some(lease_until) }
    }
}

/// Claims a person under review for some time, or renews the claim. While it lasts, nobody else
/// decides on the person.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/claim",
    tag = "review",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "Claimed.", body = AssignmentBody))
)]
pub(crate) async fn claim(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(_empty): Json<Nothing>,
) -> Result<Reply<AssignmentBody>, Problem> {
    Ok(Reply::ok(super::claim(&state, &who, &id).await?.into()))
}

/// Ends the claim on a person. An ADMIN may end the claim of somebody else.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/release",
    tag = "review",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "Released.", body = AssignmentBody))
)]
pub(crate) async fn release(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(_empty): Json<Nothing>,
) -> Result<Reply<AssignmentBody>, Problem> {
    super::release(&state, &who, &id).await?;
    Ok(Reply::ok(AssignmentBody { assignee: None, lease_until: None }))
}

/// Assigns a person under review to a reviewer. An ADMIN may take the person from somebody else.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/assign",
    tag = "review",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "Assigned.", body = AssignmentBody))
)]
pub(crate) async fn assign(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<AssignmentRequest>,
) -> Result<Reply<AssignmentBody>, Problem> {
    Ok(Reply::ok(super::assign(&state, &who, &id, &request.admin_id.0).await?.into()))
}
