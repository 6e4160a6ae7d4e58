//! Requests and the refresh route that the sessions of both realms share. gx-identity
//! uses them for people, gx-admin for administrators.

use axum::extract::State;
use gx_serve::fields::{Fields, FromFields, Text};
use gx_serve::limits::PUBLIC_BODY_LIMIT_BYTES;
use gx_serve::{Json, Problem, Reply, RequestId, RequestLimits};
use utoipa::ToSchema;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use crate::devices::DeviceToken;
use crate::email::GivenEmail;
use crate::foundation::Foundation;
use crate::password::GivenPassword;
use crate::realm::Realm;
use crate::route_parts::at;
use crate::second_factor::FactorCode;
use crate::sessions::TokenPair;

/// An e-mail address and a password, and the code of a second factor.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Credentials {
    /// E-mail address in any spelling of the same mailbox.
    #[schema(value_type = String, max_length = 1024, example = "sarah.johnson@gxtest.com")]
    pub email: GivenEmail,
    /// The password.
    #[schema(value_type = String, max_length = 256, format = "password",
             example = "SecurePassword123!")]
    pub password: GivenPassword,
    /// Code of the authenticator, or a recovery code; ignored if the account has no second factor.
    #[schema(value_type = Option<String>, max_length = 64)]
    pub totp: Option<FactorCode>,
    /// The device token of an earlier sign-in, for clients without cookies.
    #[schema(value_type = Option<String>, max_length = 128)]
    pub device_token: Option<DeviceToken>,
}

impl FromFields for Credentials {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email");
        let password = fields.required("password");
        let totp = fields.optional("totp");
        let device_token = fields.optional("deviceToken");
        Some(Self { email: email?, password: password?, totp: totp?, device_token: device_token? })
    }
}

/// The refresh token to exchange.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct RefreshRequest {
    #[schema(value_type = String, max_length = 4096, example = "eyJ…")]
    refresh_token: Text<4096>,
}

impl FromFields for RefreshRequest {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { refresh_token: fields.required("refreshToken")? })
    }
}

/// Returns the route at `path` that exchanges refresh tokens of a realm. It answers with
/// [`INVALID_REFRESH_TOKEN`](crate::INVALID_REFRESH_TOKEN), too.
pub fn refresh_route<S>(realm: Realm, path: &str, base: &Foundation) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    at(routes!(refresh), path, (realm, base.clone()))
}

/// Exchanges a refresh token for new tokens. Each refresh token can be used once.
#[utoipa::path(
    post,
    path = "/refresh",
    tag = "sessions",
    responses((status = 200, description = "New tokens. The refresh token is used up.",
               body = TokenPair))
)]
async fn refresh(
    State((realm, base)): State<(Realm, Foundation)>,
    limits: RequestLimits,
    RequestId(request_id): RequestId,
    Json(given): Json<RefreshRequest>,
) -> Result<Reply<TokenPair>, Problem> {
    Ok(Reply::ok(base.refresh(realm, &given.refresh_token.0, &limits, &request_id).await?))
}
