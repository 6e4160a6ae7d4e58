//! HTTP routes of an administrator's session: `/api/v1/admin/auth/login`, `/passkeys`, `/logout`.
//! Registered by [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::{Administrator, Credentials, DeviceCookie, PasskeySignIn, TokenPair};
use gx_db::AdminId;
use gx_serve::fields::Nothing;
use gx_serve::{Client, Json, Problem, Reply, RequestId, RequestLimits};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{AdministratorRow, OpenedSession};
use crate::ServiceState;

/// The tokens of a new session, and its administrator.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdminSignedIn {
    #[serde(flatten)]
    tokens: TokenPair,
    /// Token of the device, which is also set as a cookie. Send it with the next sign-in.
    #[schema(example = "9f86d081884c7d65…")]
    device_token: String,
    admin: AdminSummary,
}

/// An answer to a sign-in, with the cookie of the device.
type AdminSignInReply = ([(HeaderName, HeaderValue); 1], Reply<AdminSignedIn>);

impl AdminSignedIn {
    /// Returns the answer with a new session.
    fn reply(opened: OpenedSession) -> AdminSignInReply {
        let OpenedSession { tokens, administrator, device } = opened;
        let device_token = device.expose().to_owned();
        let admin = administrator.into();
        (device.set_cookie(), Reply::ok(Self { tokens, device_token, admin }))
    }
}

/// The facts about an administrator that a client shows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdminSummary {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    admin_id: AdminId,
    #[schema(example = "admin@gxtest.com")]
    email: String,
    /// Whether the address was confirmed by mail.
    #[schema(example = true)]
    email_verified: bool,
    #[schema(example = "First administrator")]
    display_name: String,
    #[schema(example = "SUPER_ADMIN")]
    role: String,
}

impl From<AdministratorRow> for AdminSummary {
    fn from(row: AdministratorRow) -> Self {
        let AdministratorRow { admin_id, email, display_name, role, email_verified } = row;
        Self { admin_id, email, email_verified, display_name, role }
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
    DeviceCookie(cookie): DeviceCookie,
    limits: RequestLimits,
    RequestId(request_id): RequestId,
    Json(given): Json<Credentials>,
) -> Result<AdminSignInReply, Problem> {
    limits.admit_email(given.email.form()).await?;
    let device = given.device_token.as_ref().or(cookie.as_ref());
    let opened = super::log_in(&state, &given, device, &client, &request_id).await?;
    Ok(AdminSignedIn::reply(opened))
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
    DeviceCookie(cookie): DeviceCookie,
    RequestId(request_id): RequestId,
    Json(given): Json<PasskeySignIn>,
) -> Result<AdminSignInReply, Problem> {
    let device = given.device_token.as_ref().or(cookie.as_ref());
    let opened = super::log_in_with_passkey(&state, &given, device, &client, &request_id).await?;
    Ok(AdminSignedIn::reply(opened))
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
