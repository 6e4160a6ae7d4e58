//! HTTP route `POST /api/v1/auth/register`, which is public; [`crate::service`] registers it with
//! its problems. A body with wrong fields is answered with all field errors. An address or phone
//! number of another account is answered with 409, and nothing is stored.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use gx_auth::{DeviceCookie, Email, NewPassword, PasswordOwner};
use gx_serve::fields::{Fields, FromFields};
use gx_serve::limits::PUBLIC_BODY_LIMIT_BYTES;
use gx_serve::{Client, Json, Problem, Reply, RequestId, RequestLimits};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::RegistrationMode;
use crate::ServiceState;
use crate::login::http::SignedIn;
use crate::person::{AnyCaseGender, BirthDate, Name, Nationality, Phone};

/// The facts with which a person registers.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Registration {
    /// First name: letters of any script with their marks, joined by blanks, hyphens, apostrophes,
    /// dots, `/` and `@`; 1 to 100 of what a reader counts as a letter (grapheme clusters). Stored
    /// in normalisation form C.
    #[schema(value_type = String, min_length = 1, max_length = 1000, example = "Sarah")]
    pub(crate) fname: Name,
    /// Last name, with the rules of `fname`; missing for people who have one name.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1000, example = "Johnson")]
    pub(crate) lname: Option<Name>,
    /// E-mail address, stored without blanks around it, in normalisation form C and lower case,
    /// with the domain in ASCII.
    #[schema(value_type = String, max_length = 1024, format = "email",
             example = "sarah.johnson@gxtest.com")]
    pub(crate) email: Email,
    /// Phone number with its country code and without an extension. It may follow later, before
    /// the person asks for review.
    #[schema(value_type = Option<String>, max_length = 40, example = "+60123456790")]
    pub(crate) phone_num: Option<Phone>,
    /// Password of 15 to 256 characters.
    #[schema(value_type = String, min_length = 15, max_length = 256, format = "password",
             example = "SecurePassword123!")]
    pub(crate) password: NewPassword,
    /// ISO 3166-1 code of the nationality. It may follow later, before the person asks for review.
    #[schema(value_type = Option<String>, min_length = 2, max_length = 2, example = "MY")]
    pub(crate) nationality_country_code: Option<Nationality>,
    /// Date of birth of a person who is 13 to 120 years old.
    #[schema(value_type = String, format = "date", example = "1992-08-20")]
    pub(crate) date_of_birth: BirthDate,
    /// `male` or `female` in any case.
    #[schema(value_type = String, example = "female")]
    pub(crate) gender: AnyCaseGender,
}

impl FromFields for Registration {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let fname: Option<Name> = fields.required("fname");
        let lname: Option<Option<Name>> = fields.optional("lname");
        let email: Option<Email> = fields.required("email");
        let phone_num = fields.optional("phoneNum");
        let password: Option<NewPassword> = fields.required("password");
        let nationality_country_code = fields.optional("nationalityCountryCode");
        let date_of_birth: Option<BirthDate> = fields.required("dateOfBirth");
        let gender = fields.required("gender");
        if let Some(birth) = date_of_birth {
            birth.check_age(fields, "dateOfBirth");
        }
        let names = [fname.as_ref(), lname.as_ref().and_then(Option::as_ref)];
        let subject = PasswordOwner {
            names: &names.map(|name| name.map_or("", |name| &name.0)),
            email: email.as_ref().map_or("", Email::as_str),
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

/// The answer to a registration that must be confirmed by mail.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegistrationPending {
    /// `VERIFICATION_SENT`.
    #[schema(example = "VERIFICATION_SENT")]
    status: &'static str,
}

/// Registers a person and signs them in. Where registrations must be confirmed by mail, the answer
/// is the same whether or not the address has an account.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    tag = "registration",
    responses(
        (status = 200, description = "The person is registered and signed in.", body = SignedIn),
        (status = 202, description = "A mail to the address says how to go on.",
         body = RegistrationPending)
    )
)]
pub(crate) async fn register(
    State(state): State<ServiceState>,
    client: Client,
    DeviceCookie(cookie): DeviceCookie,
    limits: RequestLimits,
    RequestId(request_id): RequestId,
    Json(registration): Json<Registration>,
) -> Result<Response, Problem> {
    limits.admit_email(registration.email.as_str()).await?;
    if state.registration_mode == RegistrationMode::Verified {
        super::register_by_mail(&state, &registration, &request_id).await?;
        let pending = RegistrationPending { status: "VERIFICATION_SENT" };
        return Ok(Reply(StatusCode::ACCEPTED, pending).into_response());
    }
    let device = cookie.as_ref();
    let opened = super::register(&state, &registration, device, &client, &request_id).await?;
    Ok(SignedIn::reply(opened).into_response())
}
