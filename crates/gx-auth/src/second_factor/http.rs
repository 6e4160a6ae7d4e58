//! The routes with which an account changes its own TOTP factor. Both services have them, each
//! under its own path.

use ::http::StatusCode;
use axum::extract::State;
use gx_serve::fields::{Fields, FromFields};
use gx_serve::{Json, Problem, ProblemKind, Reply};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use super::code::FactorCode;
use super::store::TotpState;
use super::{SECOND_FACTOR_DELAYED, SecondFactors, TOTP_ENABLED, TOTP_NOT_ENABLED, WRONG_CODE};
use crate::password::GivenPassword;
use crate::password_change::WRONG_PASSWORD;
use crate::route_parts::at;
use crate::session_owner::SessionOwner;

/// Returns the routes below `prefix`, such as `/api/v1/users/me/totp`, each with its problems. The
/// caller adds the authorization.
pub fn totp_routes<S>(
    factors: &SecondFactors,
    prefix: &str,
) -> [(UtoipaMethodRouter<S>, &'static [&'static ProblemKind]); 4]
where
    S: Clone + Send + Sync + 'static,
{
    const ENROLLING: &[&ProblemKind] = &[&WRONG_PASSWORD, &TOTP_ENABLED];
    const CONFIRMING: &[&ProblemKind] =
        &[&TOTP_ENABLED, &TOTP_NOT_ENABLED, &WRONG_CODE, &SECOND_FACTOR_DELAYED];
    const CHANGING: &[&ProblemKind] = &[&WRONG_PASSWORD, &TOTP_NOT_ENABLED, &SECOND_FACTOR_DELAYED];
    let path = |rest: &str| format!("{prefix}{rest}");
    [
        (at(routes!(show, enrol), &path(""), factors.clone()), ENROLLING),
        (at(routes!(confirm), &path("/confirm"), factors.clone()), CONFIRMING),
        (at(routes!(recovery_codes), &path("/recovery-codes"), factors.clone()), CHANGING),
        (at(routes!(disable), &path("/disable"), factors.clone()), CHANGING),
    ]
}

/// The password of the signed-in account.
#[derive(ToSchema)]
struct PasswordRequest {
    #[schema(value_type = String, max_length = 256, format = "password",
             example = "SecurePassword123!")]
    password: GivenPassword,
}

impl FromFields for PasswordRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { password: fields.required("password")? })
    }
}

/// A code of the new secret.
#[derive(ToSchema)]
struct CodeRequest {
    #[schema(value_type = String, max_length = 64, example = "492039")]
    code: FactorCode,
}

impl FromFields for CodeRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { code: fields.required("code")? })
    }
}

/// Password and code of the signed-in account.
#[derive(ToSchema)]
struct PasswordAndCode {
    #[schema(value_type = String, max_length = 256, format = "password",
             example = "SecurePassword123!")]
    password: GivenPassword,
    /// A code of the authenticator, or a recovery code.
    #[schema(value_type = String, max_length = 64, example = "492039")]
    totp: FactorCode,
}

impl FromFields for PasswordAndCode {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (password, totp) = (fields.required("password"), fields.required("totp"));
        Some(Self { password: password?, totp: totp? })
    }
}

/// A new secret. It is shown once.
#[derive(Serialize, ToSchema)]
struct NewTotp {
    /// The secret in base32, to type into an authenticator.
    #[schema(example = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")]
    secret: String,
    /// `otpauth:` URI with the secret.
    #[schema(example = "otpauth://totp/GX:sarah.johnson@gxtest.com?secret=…")]
    uri: String,
    /// The URI as a QR code: an SVG document.
    #[schema(example = "<svg>…</svg>")]
    qr: String,
}

/// New recovery codes. They are shown once, and each can be used once instead of a TOTP code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RecoveryCodes {
    #[schema(example = json!(["0123-4567-89ab-cdef-ghjk-mnpq"]))]
    recovery_codes: Vec<String>,
}

/// Returns whether a TOTP factor is in force, and the number of recovery codes that are left.
#[utoipa::path(
    get,
    path = "/totp",
    tag = "second factors",
    responses((status = 200, description = "The factor.", body = TotpState))
)]
async fn show(
    State(factors): State<SecondFactors>,
    who: SessionOwner,
) -> Result<Reply<TotpState>, Problem> {
    Ok(Reply::ok(factors.state(&who).await?))
}

/// Creates a secret for an authenticator. It is in force once a code has confirmed it.
#[utoipa::path(
    post,
    path = "/totp",
    tag = "second factors",
    responses((status = 200, description = "The secret.", body = NewTotp))
)]
async fn enrol(
    State(factors): State<SecondFactors>,
    who: SessionOwner,
    Json(given): Json<PasswordRequest>,
) -> Result<Reply<NewTotp>, Problem> {
    let new = factors.enrol(&who, &given.password.0).await?;
    Ok(Reply::ok(NewTotp { secret: new.secret, uri: new.uri, qr: new.qr }))
}

/// Puts the factor in force with a first code, and returns recovery codes.
#[utoipa::path(
    post,
    path = "/totp/confirm",
    tag = "second factors",
    responses((status = 200, description = "In force.", body = RecoveryCodes))
)]
async fn confirm(
    State(factors): State<SecondFactors>,
    who: SessionOwner,
    Json(given): Json<CodeRequest>,
) -> Result<Reply<RecoveryCodes>, Problem> {
    Ok(Reply::ok(RecoveryCodes { recovery_codes: factors.confirm(&who, &given.code).await? }))
}

/// Replaces all recovery codes.
#[utoipa::path(
    post,
    path = "/totp/recovery-codes",
    tag = "second factors",
    responses((status = 200, description = "The new codes.", body = RecoveryCodes))
)]
async fn recovery_codes(
    State(factors): State<SecondFactors>,
    who: SessionOwner,
    Json(given): Json<PasswordAndCode>,
) -> Result<Reply<RecoveryCodes>, Problem> {
    let recovery_codes = factors.renew_recovery_codes(&who, &given.password.0, &given.totp).await?;
    Ok(Reply::ok(RecoveryCodes { recovery_codes }))
}

/// Ends the factor.
#[utoipa::path(
    post,
    path = "/totp/disable",
    tag = "second factors",
    responses((status = 204, description = "Sign-ins need no code any more."))
)]
async fn disable(
    State(factors): State<SecondFactors>,
    who: SessionOwner,
    Json(given): Json<PasswordAndCode>,
) -> Result<StatusCode, Problem> {
    factors.disable(&who, &given.password.0, &given.totp).await?;
    Ok(StatusCode::NO_CONTENT)
}
