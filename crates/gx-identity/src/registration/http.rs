//! `POST /api/v1/auth/register`.

use axum::extract::State as Axum;
use gx_auth::{NewPassword, Subject};
use gx_serve::fields::{Fields, FromFields};
use gx_serve::{Client, Json, Problem, Reply, RequestId};
use utoipa::ToSchema;

use crate::State;
use crate::login::http::SignedIn;
use crate::person::{AnyCaseGender, BirthDate, Email, Name, Nationality, Phone};

/// What a person says to register.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "the wire's names")]
pub(crate) struct Registration {
    /// 1 to 50 letters of any script, with single spaces, hyphens and apostrophes between.
    #[schema(value_type = String, min_length = 1, max_length = 50, example = "Sarah")]
    pub(crate) fname: Name,
    /// As `fname`.
    #[schema(value_type = String, min_length = 1, max_length = 50, example = "Johnson")]
    pub(crate) lname: Name,
    /// Stored in lower case.
    #[schema(value_type = String, max_length = 254, format = "email",
             example = "sarah.johnson@gxtest.com")]
    pub(crate) email: Email,
    /// With its country code; optional now, required before review.
    #[schema(value_type = Option<String>, max_length = 32, example = "+60123456790")]
    pub(crate) phone_num: Option<Phone>,
    /// 15 to 256 characters.
    #[schema(value_type = String, min_length = 15, max_length = 256, format = "password")]
    pub(crate) password: NewPassword,
    /// ISO 3166-1; optional now, required before review.
    #[schema(value_type = Option<String>, min_length = 2, max_length = 2, example = "MY")]
    pub(crate) nationality_country_code: Option<Nationality>,
    /// 13 to 120 years ago.
    #[schema(value_type = String, format = "date", example = "1992-08-20")]
    pub(crate) date_of_birth: BirthDate,
    /// `male` or `female` in any case.
    #[schema(value_type = String, example = "female")]
    pub(crate) gender: AnyCaseGender,
}

impl FromFields for Registration {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let fname: Option<Name> = fields.required("fname");
        let lname: Option<Name> = fields.required("lname");
        let email: Option<Email> = fields.required("email");
        let phone_num = fields.optional("phoneNum");
        let password: Option<NewPassword> = fields.required("password");
        let nationality_country_code = fields.optional("nationalityCountryCode");
        let date_of_birth: Option<BirthDate> = fields.required("dateOfBirth");
        let gender = fields.required("gender");
        if let Some(birth) = date_of_birth {
            birth.check_age(fields, "dateOfBirth");
        }
        let own = |name: &Option<Name>| name.as_ref().map_or(String::new(), |name| name.0.clone());
        let names = [own(&fname), own(&lname)];
        let subject = Subject {
            names: &names.each_ref().map(String::as_str),
            email: email.as_ref().map_or("", |email| email.0.as_str()),
        };
        if let Some(Err(refusal)) = password.as_ref().map(|password| password.check(subject)) {
            fields.refuse("password", refusal.field_error());
        }
        Some(Self {
            fname: fname?,
            lname: lname?,
            email: email?,
            phone_num: phone_num?,
            password: password?,
            nationality_country_code: nationality_country_code?,
            date_of_birth: date_of_birth?,
            gender: gender?,
        })
    }
}

/// Registers a person and signs them in.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    tag = "registration",
    request_body = Registration,
    responses(
        (status = 200, description = "Registered and signed in.", body = SignedIn),
        (status = 409, description = "`email_taken` or `phone_taken`.",
         body = gx_serve::problem::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn register(
    Axum(state): Axum<State>,
    client: Client,
    RequestId(request_id): RequestId,
    Json(wanted): Json<Registration>,
) -> Result<Reply<SignedIn>, Problem> {
    let (pair, user) = super::register(&state, &wanted, &client, &request_id).await?;
    Ok(Reply::ok(SignedIn::new(pair, user)))
}
