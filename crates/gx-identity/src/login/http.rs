//! HTTP routes of a person's sessions: `/api/v1/auth/login`, `/passkeys`, `/logout`, `/logout-all`,
//! and the public keys. Registered by [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::{Credentials, DeviceCookie, PasskeySignIn, Person, TokenPair};
use gx_serve::fields::{Fields, FromFields, Text};
use gx_serve::limits::PUBLIC_BODY_LIMIT_BYTES;
use gx_serve::{Client, Json, Problem, Reply, RequestId, RequestLimits};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::OpenedSession;
use crate::ServiceState;
use crate::profile::UserSummary;

/// The tokens of a new session, and its person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignedIn {
    #[serde(flatten)]
    tokens: TokenPair,
    /// Token of the device, which is also set as a cookie. Send it with the next sign-in.
    #[schema(example = "9f86d081884c7d65…")]
    device_token: String,
    user: UserSummary,
}

/// An answer to a sign-in, with the cookie of the device.
pub(crate) type SignInReply = ([(HeaderName, HeaderValue); 1], Reply<SignedIn>);

impl SignedIn {
    /// Returns the answer with a new session.
    pub(crate) fn reply(opened: OpenedSession) -> SignInReply {
        let OpenedSession { tokens, user, device } = opened;
        let device_token = device.expose().to_owned();
        (device.set_cookie(), Reply::ok(Self { tokens, device_token, user }))
    }
}

/// The body of a logout.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct LogoutRequest {
    /// Ignored: the session of the access token ends, and its refresh token with it.
    #[schema(value_type = Option<String>, max_length = 4096)]
    #[expect(dead_code, reason = "the session of the access token ends, and this one with it")]
    refresh_token: Option<Text<4096>>,
}

impl FromFields for LogoutRequest {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { refresh_token: fields.optional("refreshToken")? })
    }
}

/// Signs a person in. The answer is the same whether the address, the password, the code of the
/// second factor or the account is refused.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "sessions",
    responses((status = 200, description = "Signed in.", body = SignedIn))
)]
pub(crate) async fn login(
    State(state): State<ServiceState>,
    client: Client,
    DeviceCookie(cookie): DeviceCookie,
    limits: RequestLimits,
    RequestId(request_id): RequestId,
    Json(given): Json<Credentials>,
) -> Result<SignInReply, Problem> {
    limits.admit_email(given.email.form()).await?;
    let device = given.device_token.as_ref().or(cookie.as_ref());
    let opened = super::log_in(&state, &given, device, &client, &request_id).await?;
    Ok(SignedIn::reply(opened))
}

/// Signs a person in with a passkey. The answer is the same whether the passkey or the account is
/// refused.
#[utoipa::path(
    post,
    path = "/api/v1/auth/passkeys",
    tag = "passkeys",
    responses((status = 200, description = "Signed in.", body = SignedIn))
)]
pub(crate) async fn passkey_login(
    State(state): State<ServiceState>,
    client: Client,
    DeviceCookie(cookie): DeviceCookie,
    RequestId(request_id): RequestId,
    Json(given): Json<PasskeySignIn>,
) -> Result<SignInReply, Problem> {
    let device = given.device_token.as_ref().or(cookie.as_ref());
    let opened = super::log_in_with_passkey(&state, &given, device, &client, &request_id).await?;
    Ok(SignedIn::reply(opened))
}

/// Ends the session of the request.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "sessions",
    responses((status = 204, description = "The session has ended."))
)]
pub(crate) async fn logout(
    State(state): State<ServiceState>,
    person: Person,
    Json(_empty): Json<LogoutRequest>,
) -> Result<StatusCode, Problem> {
    super::log_out(&state, &person, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all of the person's sessions.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout-all",
    tag = "sessions",
    responses((status = 204, description = "All sessions have ended."))
)]
pub(crate) async fn logout_all(
    State(state): State<ServiceState>,
    person: Person,
    Json(_empty): Json<LogoutRequest>,
) -> Result<StatusCode, Problem> {
    super::log_out(&state, &person, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The public keys with which tokens can be verified.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeySet {
    /// Keys in the format of RFC 7517; empty if tokens are signed with a shared secret.
    #[schema(value_type = Vec<Object>)]
    keys: serde_json::Value,
}

/// Returns the public keys with which tokens can be verified.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "sessions",
    responses((status = 200, description = "The keys (RFC 7517).", body = KeySet))
)]
pub(crate) async fn jwks(State(state): State<ServiceState>) -> Result<Reply<KeySet>, Problem> {
    let keys = &state.base.auth.public_keys().await?.keys;
    let keys = serde_json::to_value(keys).map_err(|why| Problem::internal(&why))?;
    Ok(Reply::ok(KeySet { keys }))
}
