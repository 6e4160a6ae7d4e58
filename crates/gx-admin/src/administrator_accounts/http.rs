//! HTTP routes `GET` and `POST /api/v1/admin/administrators` and `PATCH /administrators/{id}`,
//! registered by [`crate::service`]. A `Problem` is the answer to the client.

use ::http::StatusCode;
use axum::extract::State;
use gx_auth::{AdminRole, Administrator, Email};
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, one_of};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Json, Problem, Query, Reply};
use serde_json::Value;
use utoipa::ToSchema;

use super::store::{self, AdministratorItem};
use super::{AccountChange, NewAccount, change};
use crate::ServiceState;
use crate::administrator_id::AdminPath;
use crate::audit_reason::AuditReason;

struct GivenRole(AdminRole);

impl Field for GivenRole {
    fn read(value: &Value) -> Result<Self, FieldError> {
        one_of(value, &AdminRole::ALL, AdminRole::name).map(Self)
    }
}

/// A name of 1 to 100 characters that is not blank.
struct DisplayName(String);

impl Field for DisplayName {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let Text(name) = Text::<100>::read(value)?;
        if name.trim().is_empty() {
            return Err(FieldError::new("too_short", "must not be empty"));
        }
        Ok(Self(name))
    }
}

/// An administrator to add.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct NewAdministratorBody {
    /// E-mail address to sign in with.
    #[schema(value_type = String, max_length = 1024, example = "wei@gxtest.com")]
    email: Email,
    /// Name that other administrators see; by default the e-mail address.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    display_name: Option<DisplayName>,
    /// AUDITOR, REVIEWER, ADMIN or SUPER_ADMIN.
    #[schema(value_type = String, pattern = "^(AUDITOR|REVIEWER|ADMIN|SUPER_ADMIN)$",
             example = "REVIEWER")]
    role: GivenRole,
}

impl FromFields for NewAdministratorBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (email, name) = (fields.required("email"), fields.optional("displayName"));
        let role = fields.required("role");
        Some(Self { email: email?, display_name: name?, role: role? })
    }
}

/// A change of an administrator's account. A field that is absent keeps its value.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct AccountChangeBody {
    /// AUDITOR, REVIEWER, ADMIN or SUPER_ADMIN.
    #[schema(value_type = Option<String>, pattern = "^(AUDITOR|REVIEWER|ADMIN|SUPER_ADMIN)$")]
    role: Option<GivenRole>,
    /// Whether the account is locked.
    is_locked: Option<bool>,
    /// Reason for the audit log.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    reason: Option<AuditReason>,
}

impl FromFields for AccountChangeBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (role, is_locked) = (fields.change_only("role"), fields.change_only("isLocked"));
        let reason = fields.optional("reason");
        Some(Self { role: role?, is_locked: is_locked?, reason: reason? })
    }
}

/// Lists administrators, in the order in which they were added.
#[utoipa::path(
    get,
    path = "/api/v1/admin/administrators",
    tag = "administrators",
    params(PageQuery<String>),
    responses((status = 200, description = "A page of administrators.",
               body = Page<AdministratorItem>))
)]
pub(crate) async fn list(
    State(state): State<ServiceState>,
    Query(page): Query<PageQuery<String>>,
) -> Result<Reply<Page<AdministratorItem>>, Problem> {
    let mut conn = state.base.connection().await?;
    let (limit, above) = (page.limit, page.key().map(String::as_str));
    let rows = store::administrators(&mut conn, above, limit.with_one_more()).await?;
    Ok(Reply::ok(Page::cut(rows, limit, |row| row.admin_id.to_string())))
}

/// Adds an administrator, who gets a mail with a link and sets the first password within 24 hours.
#[utoipa::path(
    post,
    path = "/api/v1/admin/administrators",
    tag = "administrators",
    responses((status = 201, description = "Invited.", body = AdministratorItem))
)]
pub(crate) async fn invite(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(request): Json<NewAdministratorBody>,
) -> Result<Reply<AdministratorItem>, Problem> {
    let name = request.display_name.as_ref().map(|name| name.0.as_str());
    let display_name = name.unwrap_or(request.email.as_str());
    let new = NewAccount { email: &request.email, display_name, role: request.role.0 };
    Ok(Reply(StatusCode::CREATED, super::invite(&state, &who, &new).await?))
}

/// Changes the role of an administrator, or locks or unlocks the account. Another role and a lock
/// end all sessions of the account.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/administrators/{id}",
    tag = "administrators",
    params(("id" = String, Path, description = "adminId")),
    responses((status = 200, description = "The administrator now.", body = AdministratorItem))
)]
pub(crate) async fn patch(
    State(state): State<ServiceState>,
    AdminPath(id): AdminPath,
    who: Administrator,
    Json(request): Json<AccountChangeBody>,
) -> Result<Reply<AdministratorItem>, Problem> {
    let wanted = AccountChange {
        role: request.role.map(|role| role.0),
        is_locked: request.is_locked,
        reason: request.reason.as_ref().map(|reason| reason.0.as_str()),
    };
    Ok(Reply::ok(change(&state, &who, &id, &wanted).await?))
}
