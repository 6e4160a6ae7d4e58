//! HTTP route of a change of password, for people and administrators.

use axum::extract::State;
use gx_serve::fields::{Fields, FromFields};
use gx_serve::limits::PUBLIC_BODY_LIMIT_BYTES;
use gx_serve::{Json, Problem};
use http::StatusCode;
use utoipa::ToSchema;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use crate::devices::DeviceCookie;
use crate::foundation::Foundation;
use crate::password::{GivenPassword, NewPassword};
use crate::realm::Realm;
use crate::route_parts::at;
use crate::session_owner::SessionOwner;

/// The current password and the new one.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct PasswordChange {
    /// The password with which the account signs in now.
    #[schema(value_type = String, max_length = 256, format = "password",
             example = "SecurePassword123!")]
    current_password: GivenPassword,
    /// The new password, of 15 to 256 characters.
    #[schema(value_type = String, min_length = 15, max_length = 256, format = "password",
             example = "AnotherPassword456!")]
    new_password: NewPassword,
}

impl FromFields for PasswordChange {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let current_password = fields.required("currentPassword");
        let new_password = fields.required("newPassword");
        Some(Self { current_password: current_password?, new_password: new_password? })
    }
}

/// Returns the route at `path` that changes the caller's password. It answers with
/// [`WRONG_PASSWORD`](super::WRONG_PASSWORD), too.
pub fn change_password_route<S>(
    realm: Realm,
    path: &str,
    base: &Foundation,
) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    at(routes!(change_password), path, (realm, base.clone()))
}

/// Changes your password and ends all of your sessions, with the one of this request. The device of
/// its cookie stays known, and others are forgotten.
#[utoipa::path(
    post,
    path = "/password/change",
    tag = "sessions",
    responses((status = 204, description = "Changed. Sign in again with the new password."))
)]
async fn change_password(
    State((_realm, base)): State<(Realm, Foundation)>,
    owner: SessionOwner,
    DeviceCookie(device): DeviceCookie,
    Json(given): Json<PasswordChange>,
) -> Result<StatusCode, Problem> {
    let (current, new) = (&given.current_password.0, &given.new_password);
    super::change(&base, &owner, current, new, device.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}
