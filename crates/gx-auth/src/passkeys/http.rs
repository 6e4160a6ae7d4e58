//! The routes with which an account changes its own passkeys, and the one that draws a challenge
//! for a sign-in. Both services have them, each under its own path. The route that signs in is in
//! each service, because its answer is.

use ::http::StatusCode;
use axum::extract::{Path, State};
use gx_serve::fields::{FieldError, Fields, FromFields, Nothing, Text};
use gx_serve::limits::PUBLIC_BODY_LIMIT_BYTES;
use gx_serve::{Json, Problem, ProblemKind, Reply};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use super::credential::{CreatedCredential, SignedCredential};
use super::options::{CreationChallenge, RequestChallenge};
use super::store::PasskeyRow;
use super::{
    CHALLENGE_ENDED, FRESH_SIGN_IN_REQUIRED, NO_PASSKEY, PASSKEY_EXISTS, PASSKEY_REFUSED,
    PASSKEYS_NOT_CONFIGURED, Passkeys, TOO_MANY_PASSKEYS, no_passkey,
};
use crate::devices::DeviceToken;
use crate::password::GivenPassword;
use crate::password_change::WRONG_PASSWORD;
use crate::realm::Realm;
use crate::route_parts::at;
use crate::second_factor::{FactorCode, SECOND_FACTOR_DELAYED};
use crate::session_owner::SessionOwner;

/// Returns the routes below `prefix`, such as `/api/v1/users/me/passkeys`, each with its problems.
/// The caller adds the authorization.
pub fn passkey_routes<S>(
    passkeys: &Passkeys,
    prefix: &str,
) -> [(UtoipaMethodRouter<S>, &'static [&'static ProblemKind]); 3]
where
    S: Clone + Send + Sync + 'static,
{
    const OPTIONS: &[&ProblemKind] = &[
        &PASSKEYS_NOT_CONFIGURED,
        &FRESH_SIGN_IN_REQUIRED,
        &WRONG_PASSWORD,
        &SECOND_FACTOR_DELAYED,
        &TOO_MANY_PASSKEYS,
    ];
    const ADDING: &[&ProblemKind] = &[
        &PASSKEYS_NOT_CONFIGURED,
        &CHALLENGE_ENDED,
        &PASSKEY_REFUSED,
        &PASSKEY_EXISTS,
        &TOO_MANY_PASSKEYS,
    ];
    const REMOVING: &[&ProblemKind] = &[
        &PASSKEYS_NOT_CONFIGURED,
        &FRESH_SIGN_IN_REQUIRED,
        &WRONG_PASSWORD,
        &SECOND_FACTOR_DELAYED,
        &NO_PASSKEY,
    ];
    let path = |rest: &str| format!("{prefix}{rest}");
    [
        (at(routes!(list, add), &path(""), passkeys.clone()), ADDING),
        (at(routes!(begin_adding), &path("/options"), passkeys.clone()), OPTIONS),
        (at(routes!(remove), &path("/{id}"), passkeys.clone()), REMOVING),
    ]
}

/// Returns the route at `path` that draws a challenge for a sign-in. It answers with
/// [`PASSKEYS_NOT_CONFIGURED`], too.
pub fn passkey_challenge_route<S>(
    realm: Realm,
    path: &str,
    passkeys: &Passkeys,
) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    at(routes!(begin_sign_in), path, (realm, passkeys.clone()))
}

/// The password of the signed-in account, and a code if a second factor is in force. People need
/// neither within ten minutes after signing in.
#[derive(ToSchema)]
pub(super) struct Reauthentication {
    #[schema(value_type = Option<String>, max_length = 256, format = "password",
             example = "SecurePassword123!")]
    pub(super) password: Option<GivenPassword>,
    /// A code of the authenticator, or a recovery code.
    #[schema(value_type = Option<String>, max_length = 64)]
    pub(super) totp: Option<FactorCode>,
}

impl FromFields for Reauthentication {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (password, totp) = (fields.optional("password"), fields.optional("totp"));
        Some(Self { password: password?, totp: totp? })
    }
}

/// A new passkey.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct PasskeyToAdd {
    /// `challengeId` of the options.
    #[schema(value_type = String, max_length = 64,
             example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    challenge_id: Text<64>,
    credential: CreatedCredential,
    /// Name by which you will recognise the passkey.
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "Telephone")]
    name: Text<64>,
}

impl FromFields for PasskeyToAdd {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let challenge_id = fields.required("challengeId");
        let credential = fields.required("credential");
        let name: Option<Text<64>> = fields.required("name");
        if name.as_ref().is_some_and(|name| name.0.trim().is_empty()) {
            fields.refuse("name", FieldError::new("too_short", "must not be empty"));
        }
        Some(Self { challenge_id: challenge_id?, credential: credential?, name: name? })
    }
}

/// A challenge that a passkey has signed.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct PasskeySignIn {
    /// `challengeId` of the options.
    #[schema(value_type = String, max_length = 64,
             example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(super) challenge_id: Text<64>,
    pub(super) credential: SignedCredential,
    /// The device token of an earlier sign-in, for clients without cookies.
    #[schema(value_type = Option<String>, max_length = 128)]
    pub device_token: Option<DeviceToken>,
}

impl FromFields for PasskeySignIn {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let challenge_id = fields.required("challengeId");
        let credential = fields.required("credential");
        let device_token = fields.optional("deviceToken");
        let (challenge_id, credential) = (challenge_id?, credential?);
        Some(Self { challenge_id, credential, device_token: device_token? })
    }
}

/// A passkey, as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PasskeyItem {
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    passkey_id: String,
    #[schema(example = "Telephone")]
    name: String,
    /// Whether the authenticator has copied the passkey to other devices.
    is_backed_up: bool,
    #[serde(with = "gx_serve::moment")]
    created_at: OffsetDateTime,
    /// Time of the newest sign-in with the passkey.
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    last_used_at: Option<OffsetDateTime>,
}

impl From<PasskeyRow> for PasskeyItem {
    fn from(row: PasskeyRow) -> Self {
        let PasskeyRow { passkey_id, name, is_backed_up, created_at, last_used_at } = row;
        Self { passkey_id, name, is_backed_up, created_at, last_used_at }
    }
}

/// All passkeys of an account, the oldest first; at most 20.
#[derive(Debug, Serialize, ToSchema)]
struct PasskeyList {
    items: Vec<PasskeyItem>,
}

/// Lists your passkeys.
#[utoipa::path(
    get,
    path = "/passkeys",
    tag = "passkeys",
    responses((status = 200, description = "The passkeys.", body = PasskeyList))
)]
async fn list(
    State(passkeys): State<Passkeys>,
    owner: SessionOwner,
) -> Result<Reply<PasskeyList>, Problem> {
    Ok(Reply::ok(PasskeyList { items: passkeys.list(&owner).await? }))
}

/// Returns options for a new passkey. Their challenge is good once, for five minutes.
#[utoipa::path(
    post,
    path = "/passkeys/options",
    tag = "passkeys",
    responses((status = 200, description = "Options for `navigator.credentials.create()`.",
               body = CreationChallenge))
)]
async fn begin_adding(
    State(passkeys): State<Passkeys>,
    owner: SessionOwner,
    Json(given): Json<Reauthentication>,
) -> Result<Reply<CreationChallenge>, Problem> {
    Ok(Reply::ok(passkeys.begin_adding(&owner, &given).await?))
}

/// Adds a passkey.
#[utoipa::path(
    post,
    path = "/passkeys",
    tag = "passkeys",
    responses((status = 201, description = "Added.", body = PasskeyItem))
)]
async fn add(
    State(passkeys): State<Passkeys>,
    owner: SessionOwner,
    Json(given): Json<PasskeyToAdd>,
) -> Result<Reply<PasskeyItem>, Problem> {
    let PasskeyToAdd { challenge_id, credential, name } = &given;
    let added = passkeys.add(&owner, &challenge_id.0, credential, name.0.trim()).await?;
    Ok(Reply(StatusCode::CREATED, added))
}

/// Removes one of your passkeys.
#[utoipa::path(
    delete,
    path = "/passkeys/{id}",
    tag = "passkeys",
    params(("id" = String, Path, description = "`passkeyId` of the list.")),
    responses((status = 204, description = "Nobody can sign in with the passkey any more."))
)]
async fn remove(
    State(passkeys): State<Passkeys>,
    owner: SessionOwner,
    Path(id): Path<String>,
    Json(given): Json<Reauthentication>,
) -> Result<StatusCode, Problem> {
    // PostgreSQL rejects a text with a NUL.
    if id.contains('\0') {
        return Err(no_passkey());
    }
    passkeys.remove(&owner, &id, &given).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns options to sign in with a passkey. Their challenge is good once, for five minutes.
#[utoipa::path(
    post,
    path = "/passkeys/options",
    tag = "passkeys",
    responses((status = 200, description = "Options for `navigator.credentials.get()`.",
               body = RequestChallenge))
)]
async fn begin_sign_in(
    State((realm, passkeys)): State<(Realm, Passkeys)>,
    Json(_empty): Json<Nothing>,
) -> Result<Reply<RequestChallenge>, Problem> {
    Ok(Reply::ok(passkeys.begin_sign_in(realm).await?))
}
