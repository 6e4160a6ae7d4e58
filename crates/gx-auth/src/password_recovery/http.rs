//! HTTP routes of forgotten passwords, for people and administrators.

use ::http::StatusCode;
use axum::extract::State;
use gx_serve::fields::{Fields, FromFields};
use gx_serve::limits::PUBLIC_BODY_LIMIT_BYTES;
use gx_serve::{Json, Problem, RequestId, RequestLimits};
use utoipa::ToSchema;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use crate::email::GivenEmail;
use crate::foundation::Foundation;
use crate::mail_tokens::GivenToken;
use crate::password::NewPassword;
use crate::realm::Realm;
use crate::route_parts::at;

/// The address of an account.
#[derive(ToSchema)]
struct ForgottenPassword {
    /// E-mail address in any spelling of the same mailbox.
    #[schema(value_type = String, max_length = 1024, example = "sarah.johnson@gxtest.com")]
    email: GivenEmail,
}

impl FromFields for ForgottenPassword {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { email: fields.required("email")? })
    }
}

/// The token of the link, and a new password.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct PasswordReset {
    /// The token of the link.
    #[schema(value_type = String, max_length = 128, example = "bcdfghjkmnpqrstv…")]
    token: GivenToken,
    /// The new password, of 15 to 256 characters.
    #[schema(value_type = String, min_length = 15, max_length = 256, format = "password",
             example = "AnotherPassword456!")]
    new_password: NewPassword,
}

impl FromFields for PasswordReset {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (token, new_password) = (fields.required("token"), fields.required("newPassword"));
        Some(Self { token: token?, new_password: new_password? })
    }
}

/// Returns the route at `path` that mails a link to somebody who has forgotten the password.
pub fn forgot_password_route<S>(
    realm: Realm,
    path: &str,
    base: &Foundation,
) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    at(routes!(forgot), path, (realm, base.clone()))
}

/// Returns the route at `path` that sets a new password. It answers with
/// [`INVALID_MAIL_TOKEN`](crate::INVALID_MAIL_TOKEN), too.
pub fn reset_password_route<S>(realm: Realm, path: &str, base: &Foundation) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    at(routes!(reset), path, (realm, base.clone()))
}

/// Mails a link with which a new password can be set. The answer is the same for every address.
#[utoipa::path(
    post,
    path = "/password/forgot",
    tag = "e-mail",
    responses((status = 202, description = "If there is such an account, a mail is on its way."))
)]
async fn forgot(
    State((realm, base)): State<(Realm, Foundation)>,
    limits: RequestLimits,
    Json(given): Json<ForgottenPassword>,
) -> Result<StatusCode, Problem> {
    limits.admit_email(given.email.form()).await?;
    super::request(&base, realm, &given.email).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Sets a new password with the token of a mail, and ends all sessions. The second factors of an
/// account whose address was confirmed before stay.
#[utoipa::path(
    post,
    path = "/password/reset",
    tag = "e-mail",
    responses((status = 204, description = "Set. Sign in with the new password."))
)]
async fn reset(
    State((realm, base)): State<(Realm, Foundation)>,
    RequestId(request_id): RequestId,
    Json(given): Json<PasswordReset>,
) -> Result<StatusCode, Problem> {
    super::reset(&base, realm, &given.token, &given.new_password, &request_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
