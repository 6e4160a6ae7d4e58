//! HTTP routes of an administrator's session: `/api/v1/admin/auth/login`, `/passkeys`, `/logout`.
//! Registered by [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::{Administrator, Credentials, PasskeySignIn, TokenPair};
use gx_db::AdminId;
use gx_serve::fields::Nothing;
use gx_serve::{Client, Json, Problem, Reply, RequestId, RequestLimits};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::AdministratorRow;
use crate::ServiceState;

/// The tokens of a new session, and its administrator.
#[derive(Serialize, ToSchema)]
pub(crate) struct AdminSignedIn {
    #[serde(flatten)]
    tokens: TokenPair,
    admin: AdminSummary,
}

/// The facts about an administrator that a client shows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdminSummary {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    admin_id: AdminId,
    #[schema(example = "admin@gxtest.com")]
    email: String,
    #[schema(example = "First administrator")]
    display_name: String,
    #[schema(example = "SUPER_ADMIN")]
    role: String,
}

impl From<AdministratorRow> for AdminSummary {
    fn from(row: AdministratorRow) -> Self {
        let AdministratorRow { admin_id, email, display_name, role } = row;
        Self { admin_id, email, display_name, role }
    }
}

/// Signs an administrator in. The answer is the same whether the address, the password, the code of
/// the second factor or the account is refused. A production service demands a second factor.
#[utoipa::path(
    post,
    path = "/api/v1/admin/auth/login",
    tag = "sessions",
    responses((status = 200, description = "Signed in.", body = AdminSignedIn))
)]
pub(crate) async fn login(
    State(state): State<ServiceState>,
    client: Client,
    limits: RequestLimits,
    RequestId(request_id): RequestId,
    Json(given): Json<Credentials>,
) -> Result<Reply<AdminSignedIn>, Problem> {
    limits.admit_email(given.email.form()).await?;
    let (tokens, row) = super::log_in(&state, &given, &client, &request_id).await?;
    Ok(Reply::ok(AdminSignedIn { tokens, admin: row.into() }))
}

/// Signs an administrator in with a passkey, which is the second factor, too.
#[utoipa::path(
    post,
    path = "/api/v1/admin/auth/passkeys",
    tag = "passkeys",
    responses((status = 200, description = "Signed in.", body = AdminSignedIn))
)]
pub(crate) async fn passkey_login(
    State(state): State<ServiceState>,
    client: Client,
    RequestId(request_id): RequestId,
    Json(given): Json<PasskeySignIn>,
) -> Result<Reply<AdminSignedIn>, Problem> {
    let signed_in = super::log_in_with_passkey(&state, &given, &client, &request_id);
    let (tokens, row) = signed_in.await?;
    Ok(Reply::ok(AdminSignedIn { tokens, admin: row.into() }))
}

/// Ends this session.
#[utoipa::path(
    post,
    path = "/api/v1/admin/auth/logout",
    tag = "sessions",
    responses((status = 204, description = "The session has ended."))
)]
pub(crate) async fn logout(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(_empty): Json<Nothing>,
) -> Result<StatusCode, Problem> {
    super::log_out(&state, &who).await?;
    Ok(StatusCode::NO_CONTENT)
}
