//! HTTP routes that confirm and change addresses, for people and administrators.

use ::http::StatusCode;
use axum::extract::State;
use gx_mail::MailKind;
use gx_serve::fields::{FieldError, Fields, FromFields};
use gx_serve::limits::PUBLIC_BODY_LIMIT_BYTES;
use gx_serve::problem::InvalidField;
use gx_serve::{Json, Problem, RequestId, RequestLimits};
use utoipa::ToSchema;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use super::EmailProof;
use crate::email::{Email, GivenEmail, WellFormedEmail};
use crate::foundation::Foundation;
use crate::mail_tokens::{GivenCode, GivenToken};
use crate::password::GivenPassword;
use crate::realm::Realm;
use crate::route_parts::at;
use crate::session_owner::{OptionalOwner, SessionOwner};

/// The address to confirm. Nothing with a session: the account's address is confirmed.
#[derive(ToSchema)]
struct EmailVerificationRequest {
    /// The account's address; required without a session.
    #[schema(value_type = Option<String>, max_length = 1024, format = "email",
             example = "sarah.johnson@gxtest.com")]
    email: Option<WellFormedEmail>,
}

impl FromFields for EmailVerificationRequest {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { email: fields.optional("email")? })
    }
}

/// A code with a session, a code and the address without, or the token of a link.
#[derive(ToSchema)]
struct EmailProofRequest {
    /// The code of eight digits.
    #[schema(value_type = Option<String>, max_length = 128)]
    code: Option<GivenCode>,
    /// The account's address; required for a code without a session.
    #[schema(value_type = Option<String>, max_length = 1024)]
    email: Option<GivenEmail>,
    /// The token of the link.
    #[schema(value_type = Option<String>, max_length = 128, example = "bcdfghjkmnpqrstv…")]
    token: Option<GivenToken>,
    /// The password of the registration; required by the first confirmation of an account that
    /// cannot sign in before it.
    #[schema(value_type = Option<String>, max_length = 256, format = "password")]
    password: Option<GivenPassword>,
}

impl FromFields for EmailProofRequest {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let code: Option<Option<GivenCode>> = fields.optional("code");
        let email = fields.optional("email");
        let token: Option<Option<GivenToken>> = fields.optional("token");
        if let (Some(None), Some(None)) = (&code, &token) {
            fields.refuse("code", FieldError::new("required", "or token is required"));
        }
        let password = fields.optional("password");
        Some(Self { code: code?, email: email?, token: token?, password: password? })
    }
}

/// The new address, and the password.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct EmailChangeRequest {
    /// The new address, which gets a mail with a code and a link.
    #[schema(value_type = String, max_length = 1024, format = "email",
             example = "sarah.jones@gxtest.com")]
    new_email: Email,
    /// The password of the account.
    #[schema(value_type = String, max_length = 256, format = "password",
             example = "SecurePassword123!")]
    password: GivenPassword,
}

impl FromFields for EmailChangeRequest {
    const BODY_LIMIT_BYTES: usize = PUBLIC_BODY_LIMIT_BYTES;

    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (new_email, password) = (fields.required("newEmail"), fields.required("password"));
        Some(Self { new_email: new_email?, password: password? })
    }
}

/// Returns the route at `path` that mails a code and a link which confirm an address.
pub fn email_verification_route<S>(
    realm: Realm,
    path: &str,
    base: &Foundation,
) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    at(routes!(request), path, (realm, base.clone()))
}

/// Returns the route at `path` that takes the code or token of a mail. It answers with
/// [`INVALID_MAIL_TOKEN`](crate::INVALID_MAIL_TOKEN), [`EMAIL_TAKEN`](super::EMAIL_TAKEN), and for
/// people [`WRONG_PASSWORD`](crate::WRONG_PASSWORD), too.
pub fn verify_email_route<S>(realm: Realm, path: &str, base: &Foundation) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    at(routes!(verify), path, (realm, base.clone()))
}

/// Returns the route at `path` that asks for another address. It answers with
/// [`WRONG_PASSWORD`](crate::WRONG_PASSWORD), too.
pub fn change_email_route<S>(realm: Realm, path: &str, base: &Foundation) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    at(routes!(change), path, (realm, base.clone()))
}

/// Mails a code and a link that confirm the address of an account. The answer is the same for every
/// address; a text that is no address is refused.
#[utoipa::path(
    post,
    path = "/email/verification",
    tag = "e-mail",
    responses((status = 202, description = "If there is such an account, a mail is on its way."))
)]
async fn request(
    State((realm, base)): State<(Realm, Foundation)>,
    OptionalOwner(owner): OptionalOwner,
    limits: RequestLimits,
    Json(given): Json<EmailVerificationRequest>,
) -> Result<StatusCode, Problem> {
    match (owner, given.email) {
        (Some(owner), _) => {
            let address = super::own_address(&base, &owner).await?;
            limits.admit_email(GivenEmail::new(&address).form()).await?;
            super::request_own(&base, &owner).await?;
        }
        (None, Some(WellFormedEmail(email))) => {
            limits.admit_email(email.form()).await?;
            let kind = MailKind::EmailVerification;
            super::request_by_address(&base, realm, kind, &email).await?;
        }
        (None, None) => return Err(email_required()),
    }
    Ok(StatusCode::ACCEPTED)
}

fn email_required() -> Problem {
    Problem::invalid(vec![InvalidField {
        pointer: "/email".to_owned(),
        code: "required",
        message: "is required without a session".to_owned(),
    }])
}

/// Confirms an address with the code or the token of a mail. Each works once. A registration that
/// must be confirmed by mail needs its password, too.
#[utoipa::path(
    post,
    path = "/email/verify",
    tag = "e-mail",
    responses((status = 204, description = "The address is confirmed."))
)]
async fn verify(
    State((realm, base)): State<(Realm, Foundation)>,
    OptionalOwner(owner): OptionalOwner,
    RequestId(request_id): RequestId,
    Json(given): Json<EmailProofRequest>,
) -> Result<StatusCode, Problem> {
    let proof = match (given.token, given.code) {
        (Some(token), _) => EmailProof::Token(token),
        (None, Some(code)) => {
            let owner = owner.map(|owner| owner.subject);
            if owner.is_none() && given.email.is_none() {
                return Err(email_required());
            }
            EmailProof::Code { code, owner, email: given.email }
        }
        (None, None) => return Err(crate::mail_tokens::invalid()),
    };
    let password = given.password.as_ref().map(|password| &password.0);
    super::confirm(&base, realm, &proof, password, &request_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks for another e-mail address. It takes effect when a mail to it was confirmed; the present
/// address is told.
#[utoipa::path(
    post,
    path = "/email/change",
    tag = "e-mail",
    responses((status = 202, description = "If the address is free, a mail to it is on its way."))
)]
async fn change(
    State((_realm, base)): State<(Realm, Foundation)>,
    owner: SessionOwner,
    limits: RequestLimits,
    Json(given): Json<EmailChangeRequest>,
) -> Result<StatusCode, Problem> {
    limits.admit_email(given.new_email.as_str()).await?;
    super::request_change(&base, &owner, &given.password.0, &given.new_email).await?;
    Ok(StatusCode::ACCEPTED)
}
