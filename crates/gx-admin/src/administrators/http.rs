//! `/api/v1/admin/auth/login`, `/refresh`, `/logout`.

use axum::extract::State as Axum;
use gx_auth::{Administrator, GivenPassword, Realm, RefreshRefusal, TokenPair};
use gx_serve::fields::{Fields, FromFields, Nothing, Text};
use gx_serve::problem::ProblemBody;
use gx_serve::{Client, Json, Problem, Reply, RequestId};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{AdministratorRow, INVALID_REFRESH_TOKEN};
use crate::State;

/// Who wants to sign in.
#[derive(ToSchema)]
pub(crate) struct AdminCredentials {
    #[schema(value_type = String, max_length = 254)]
    email: Text<254>,
    #[schema(value_type = String, max_length = 256, format = "password")]
    password: GivenPassword,
    /// The code of the second factor; without meaning for an account that has none.
    #[schema(value_type = Option<String>, max_length = 16)]
    #[allow(dead_code, reason = "accepted as the interface says; no account has a second factor")]
    totp: Option<Text<16>>,
}

impl FromFields for AdminCredentials {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email");
        let password = fields.required("password");
        let totp = fields.optional("totp");
        Some(Self { email: email?, password: password?, totp: totp? })
    }
}

/// A refresh token.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct AdminRefreshRequest {
    #[schema(value_type = String, max_length = 4096)]
    refresh_token: Text<4096>,
}

impl FromFields for AdminRefreshRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { refresh_token: fields.required("refreshToken")? })
    }
}

/// Tokens, and who they are for.
#[derive(Serialize, ToSchema)]
pub(crate) struct AdminSignedIn {
    #[serde(flatten)]
    tokens: TokenPair,
    admin: AdminSummary,
}

/// An administrator, in short.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdminSummary {
    admin_id: String,
    email: String,
    display_name: String,
    role: String,
}

impl From<AdministratorRow> for AdminSummary {
    fn from(row: AdministratorRow) -> Self {
        let AdministratorRow { admin_id, email, display_name, role } = row;
        Self { admin_id, email, display_name, role }
    }
}

/// Signs an administrator in. Whatever is wrong, the answer is the same.
#[utoipa::path(
    post,
    path = "/api/v1/admin/auth/login",
    tag = "sessions",
    request_body = AdminCredentials,
    responses(
        (status = 200, description = "Signed in.", body = AdminSignedIn),
        (status = 401, description = "`invalid_credentials`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn login(
    Axum(state): Axum<State>,
    client: Client,
    RequestId(request_id): RequestId,
    Json(given): Json<AdminCredentials>,
) -> Result<Reply<AdminSignedIn>, Problem> {
    let (tokens, row) =
        super::log_in(&state, &given.email.0, &given.password.0, &client, &request_id).await?;
    Ok(Reply::ok(AdminSignedIn { tokens, admin: row.into() }))
}

/// Exchanges a refresh token for new tokens, once.
#[utoipa::path(
    post,
    path = "/api/v1/admin/auth/refresh",
    tag = "sessions",
    request_body = AdminRefreshRequest,
    responses(
        (status = 200, description = "New tokens; the old refresh token is used up.",
         body = TokenPair),
        (status = 401, description = "`invalid_refresh_token`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn refresh(
    Axum(state): Axum<State>,
    RequestId(request_id): RequestId,
    Json(given): Json<AdminRefreshRequest>,
) -> Result<Reply<TokenPair>, Problem> {
    let sessions = &state.base.auth.sessions;
    let mut conn = state.base.connection().await?;
    let token = &given.refresh_token.0;
    match sessions.refresh(&mut conn, Realm::Admin, token, &request_id).await {
        Ok(pair) => Ok(Reply::ok(pair)),
        Err(RefreshRefusal::Invalid) => Err(Problem::new(&INVALID_REFRESH_TOKEN, "Sign in again.")),
        Err(RefreshRefusal::Failed(problem)) => Err(problem),
    }
}

/// Ends this session.
#[utoipa::path(
    post,
    path = "/api/v1/admin/auth/logout",
    tag = "sessions",
    request_body = Nothing,
    responses((status = 204, description = "The session is over."))
)]
pub(crate) async fn logout(
    Axum(state): Axum<State>,
    who: Administrator,
    RequestId(request_id): RequestId,
    Json(_empty): Json<Nothing>,
) -> Result<StatusCode, Problem> {
    super::log_out(&state, &who, &request_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
