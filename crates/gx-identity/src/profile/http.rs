//! `GET`, `PATCH /api/v1/users/me` and `GET /api/v1/users/me/onchain`.

use axum::extract::State as Axum;
use gx_auth::Person;
use gx_serve::fields::{Fields, FromFields};
use gx_serve::problem::ProblemBody;
use gx_serve::{Json, Problem, Reply, RequestId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Onchain, Profile};
use crate::State;
use crate::person::{IdentityNumber, Name, Nationality, Phone};

/// The person who is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    user: Profile,
}

/// What may be changed until review; what is left out stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ProfileChanges {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50)]
    pub(crate) first_name: Option<Name>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50)]
    pub(crate) last_name: Option<Name>,
    /// With its country code.
    #[schema(value_type = Option<String>, max_length = 32)]
    pub(crate) phone_num: Option<Phone>,
    /// ISO 3166-1.
    #[schema(value_type = Option<String>, min_length = 2, max_length = 2)]
    pub(crate) nationality_country_code: Option<Nationality>,
    /// Number of a national document.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 40)]
    pub(crate) identity_num: Option<IdentityNumber>,
}

impl FromFields for ProfileChanges {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let first_name = fields.optional("firstName");
        let last_name = fields.optional("lastName");
        let phone_num = fields.optional("phoneNum");
        let nationality_country_code = fields.optional("nationalityCountryCode");
        let identity_num = fields.optional("identityNum");
        Some(Self {
            first_name: first_name?,
            last_name: last_name?,
            phone_num: phone_num?,
            nationality_country_code: nationality_country_code?,
            identity_num: identity_num?,
        })
    }
}

impl ProfileChanges {
    /// Names of the fields that change.
    pub(crate) fn fields(&self) -> Vec<&'static str> {
        [
            ("firstName", self.first_name.is_some()),
            ("lastName", self.last_name.is_some()),
            ("phoneNum", self.phone_num.is_some()),
            ("nationalityCountryCode", self.nationality_country_code.is_some()),
            ("identityNum", self.identity_num.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, changes)| changes.then_some(name))
        .collect()
    }
}

/// The profile of the person who is signed in.
#[utoipa::path(
    get,
    path = "/api/v1/users/me",
    tag = "profile",
    responses((status = 200, description = "The profile.", body = Me))
)]
pub(crate) async fn get_me(Axum(state): Axum<State>, person: Person) -> Result<Reply<Me>, Problem> {
    Ok(Reply::ok(Me { user: super::profile(&state, &person).await? }))
}

/// Changes the profile, until review.
#[utoipa::path(
    patch,
    path = "/api/v1/users/me",
    tag = "profile",
    request_body = ProfileChanges,
    responses(
        (status = 200, description = "The profile as it is now.", body = Me),
        (status = 409, description = "`profile_closed` or `phone_taken`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn patch_me(
    Axum(state): Axum<State>,
    person: Person,
    RequestId(request_id): RequestId,
    Json(changes): Json<ProfileChanges>,
) -> Result<Reply<Me>, Problem> {
    let user = super::change(&state, &person, &changes, &request_id).await?;
    Ok(Reply::ok(Me { user }))
}

/// How far the person has come on the way to the ledger.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/onchain",
    tag = "profile",
    responses((status = 200, description = "The steps.", body = Onchain))
)]
pub(crate) async fn onchain(
    Axum(state): Axum<State>,
    person: Person,
) -> Result<Reply<Onchain>, Problem> {
    Ok(Reply::ok(super::onchain(&state, &person).await?))
}
