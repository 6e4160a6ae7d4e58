//! `/api/v1/auth/login`, `/refresh`, `/logout`, `/logout-all`, and the public keys.

use axum::extract::State as Axum;
use gx_auth::{GivenPassword, Person, Realm, RefreshRefusal, TokenPair};
use gx_serve::fields::{Fields, FromFields, Text};
use gx_serve::problem::ProblemBody;
use gx_serve::{Client, Json, Problem, Reply, RequestId};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::INVALID_REFRESH_TOKEN;
use crate::State;
use crate::profile::UserSummary;

/// Tokens, and who they are for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignedIn {
    #[serde(flatten)]
    tokens: TokenPair,
    user: UserSummary,
}

impl SignedIn {
    pub(crate) fn new(tokens: TokenPair, user: UserSummary) -> Self {
        Self { tokens, user }
    }
}

/// Who wants to sign in.
#[derive(ToSchema)]
pub(crate) struct Credentials {
    #[schema(value_type = String, max_length = 254)]
    email: Text<254>,
    #[schema(value_type = String, max_length = 256, format = "password")]
    password: GivenPassword,
    /// The code of the second factor; without meaning for an account that has none.
    #[schema(value_type = Option<String>, max_length = 16)]
    #[allow(dead_code, reason = "accepted as the interface says; no account has a second factor")]
    totp: Option<Text<16>>,
}

impl FromFields for Credentials {
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
pub(crate) struct RefreshRequest {
    #[schema(value_type = String, max_length = 4096)]
    refresh_token: Text<4096>,
}

impl FromFields for RefreshRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { refresh_token: fields.required("refreshToken")? })
    }
}

/// Perhaps a refresh token.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct LogoutRequest {
    /// Of the same session as the access token, whose end it shares.
    #[schema(value_type = Option<String>, max_length = 4096)]
    #[allow(dead_code, reason = "the session of the access token ends, and this one with it")]
    refresh_token: Option<Text<4096>>,
}

impl FromFields for LogoutRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { refresh_token: fields.optional("refreshToken")? })
    }
}

/// Signs a person in. Whatever is wrong, the answer is the same.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "sessions",
    request_body = Credentials,
    responses(
        (status = 200, description = "Signed in.", body = SignedIn),
        (status = 401, description = "`invalid_credentials`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn login(
    Axum(state): Axum<State>,
    client: Client,
    RequestId(request_id): RequestId,
    Json(given): Json<Credentials>,
) -> Result<Reply<SignedIn>, Problem> {
    let (pair, user) =
        super::log_in(&state, &given.email.0, &given.password.0, &client, &request_id).await?;
    Ok(Reply::ok(SignedIn::new(pair, user)))
}

/// Exchanges a refresh token for new tokens, once.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "sessions",
    request_body = RefreshRequest,
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
    Json(given): Json<RefreshRequest>,
) -> Result<Reply<TokenPair>, Problem> {
    let sessions = &state.base.auth.sessions;
    let mut conn = state.base.connection().await?;
    let token = &given.refresh_token.0;
    match sessions.refresh(&mut conn, Realm::User, token, &request_id).await {
        Ok(pair) => Ok(Reply::ok(pair)),
        Err(RefreshRefusal::Invalid) => Err(Problem::new(&INVALID_REFRESH_TOKEN, "Sign in again.")),
        Err(RefreshRefusal::Failed(problem)) => Err(problem),
    }
}

/// Ends this session.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "sessions",
    request_body = LogoutRequest,
    responses((status = 204, description = "The session is over."))
)]
pub(crate) async fn logout(
    Axum(state): Axum<State>,
    person: Person,
    RequestId(request_id): RequestId,
    Json(_empty): Json<LogoutRequest>,
) -> Result<StatusCode, Problem> {
    super::log_out(&state, &person, false, &request_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all of the person's sessions.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout-all",
    tag = "sessions",
    request_body = LogoutRequest,
    responses((status = 204, description = "All sessions are over."))
)]
pub(crate) async fn logout_all(
    Axum(state): Axum<State>,
    person: Person,
    RequestId(request_id): RequestId,
    Json(_empty): Json<LogoutRequest>,
) -> Result<StatusCode, Problem> {
    super::log_out(&state, &person, true, &request_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Public keys that tokens are checked with.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeySet {
    /// RFC 7517 keys; none under a shared secret.
    #[schema(value_type = Vec<Object>)]
    keys: serde_json::Value,
}

/// The public keys that tokens are checked with.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "sessions",
    responses((status = 200, description = "RFC 7517.", body = KeySet))
)]
pub(crate) async fn jwks(Axum(state): Axum<State>) -> Result<Reply<KeySet>, Problem> {
    let keys = &state.base.auth.sessions.tokens().public_keys().keys;
    let keys = serde_json::to_value(keys).map_err(|why| Problem::internal(&why))?;
    Ok(Reply::ok(KeySet { keys }))
}
