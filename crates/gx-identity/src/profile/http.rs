//! HTTP routes `GET` and `PATCH /api/v1/users/me`, and `GET /api/v1/users/me/onchain`, registered
//! by
//! [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::Person;
use gx_serve::{Json, Problem, Reply};
use serde::Serialize;
use utoipa::ToSchema;

use super::changes::ProfileChanges;
use super::{Onchain, Profile};
use crate::ServiceState;

/// The profile of the signed-in person.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    user: Profile,
}

/// Returns the profile of the signed-in person.
#[utoipa::path(
    get,
    path = "/api/v1/users/me",
    tag = "profile",
    responses((status = 200, description = "The profile.", body = Me))
)]
pub(crate) async fn get_me(
    State(state): State<ServiceState>,
    person: Person,
) -> Result<Reply<Me>, Problem> {
    Ok(Reply::ok(Me { user: super::profile(&state, &person).await? }))
}

/// Changes the profile. Possible until review; the body may be `application/merge-patch+json`.
#[utoipa::path(
    patch,
    path = "/api/v1/users/me",
    tag = "profile",
    responses((status = 200, description = "The changed profile.", body = Me))
)]
pub(crate) async fn patch_me(
    State(state): State<ServiceState>,
    person: Person,
    Json(changes): Json<ProfileChanges>,
) -> Result<Reply<Me>, Problem> {
    let user = super::change(&state, &person, &changes).await?;
    Ok(Reply::ok(Me { user }))
}

/// Returns the steps of the person's registration on the ledger.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/onchain",
    tag = "profile",
    responses((status = 200, description = "The steps.", body = Onchain))
)]
pub(crate) async fn onchain(
    State(state): State<ServiceState>,
    person: Person,
) -> Result<Reply<Onchain>, Problem> {
    Ok(Reply::ok(super::onchain(&state, &person).await?))
}
