//! HTTP route `POST /api/v1/users/me/close`, registered by [`crate::service`]. A `Problem` is the
//! answer to the client.

use axum::extract::State;
use gx_auth::{FactorCode, GivenPassword, Person};
use gx_serve::fields::{Fields, FromFields};
use gx_serve::{Json, Problem};
use http::StatusCode;
use utoipa::ToSchema;

use crate::ServiceState;

/// The proof that the owner closes the account.
#[derive(ToSchema)]
pub(crate) struct ClosingRequest {
    /// The password of the account.
    #[schema(value_type = String, max_length = 256, format = "password",
             example = "SecurePassword123!")]
    password: GivenPassword,
    /// A code of the authenticator, or a recovery code; needed if a second factor is in force.
    #[schema(value_type = Option<String>, max_length = 64)]
    totp: Option<FactorCode>,
}

impl FromFields for ClosingRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (password, totp) = (fields.required("password"), fields.optional("totp"));
        Some(Self { password: password?, totp: totp? })
    }
}

/// Closes the account for ever and ends all of its sessions. An account with a balance or with
/// commands that are not settled stays open.
#[utoipa::path(
    post,
    path = "/api/v1/users/me/close",
    tag = "profile",
    responses((status = 202, description = "The account is closed."))
)]
pub(crate) async fn close(
    State(state): State<ServiceState>,
    person: Person,
    Json(given): Json<ClosingRequest>,
) -> Result<StatusCode, Problem> {
    super::close(&state, &person, &given.password, given.totp.as_ref()).await?;
    Ok(StatusCode::ACCEPTED)
}
