//! svc-identity: the HTTP service for people. It registers people, opens and ends their sessions,
//! shows and changes profiles, takes documents in, accepts submissions for review, and gives people
//! all that is kept about them. `gx svc-identity` and `gx dev` call [`service`] and serve the
//! result.

mod closing;
mod documents;
mod export;
mod kyc;
mod login;
mod person;
mod profile;
mod registration;
mod taken;
#[cfg(test)]
mod tests;

use gx_auth::{
    ACCOUNT_HAS_FUNDS, Api, CHALLENGE_ENDED, EMAIL_TAKEN, Foundation, INVALID_CREDENTIALS,
    INVALID_MAIL_TOKEN, INVALID_REFRESH_TOKEN, NO_SESSION, PASSKEYS_NOT_CONFIGURED, Passkeys,
    Realm, SECOND_FACTOR_DELAYED, SECOND_FACTOR_REQUIRED, SecondFactors, WRONG_PASSWORD,
    change_email_route, change_password_route, email_verification_route, end_session_route,
    forgot_password_route, link_pages, passkey_challenge_route, passkey_routes, refresh_route,
    reset_password_route, sessions_route, totp_routes, verify_email_route,
};
use gx_documents::{Documents, RequiredDocuments};
use gx_serve::problem::kind::UNAUTHENTICATED;
use gx_serve::{RouteLimit, Service, TagText};
use utoipa_axum::routes;

use documents::{
    DOCUMENT_ERASED, DOCUMENT_HELD, DOCUMENT_REFUSED, DOCUMENTS_CLOSED, DocumentQuota, NO_DOCUMENT,
    TOO_MANY_DOCUMENTS,
};
use kyc::{KYC_INCOMPLETE, KYC_NOT_OPEN};
use profile::PROFILE_CLOSED;
use taken::PHONE_TAKEN;

pub use registration::RegistrationMode;

/// Name of the role.
pub const SERVICE: &str = "svc-identity";

/// The groups of the routes.
const TAGS: [TagText; 8] = [
    ("registration", "Registering a person."),
    ("sessions", "Signing in and out, refreshing tokens, changing the password."),
    ("e-mail", "Confirming and changing the e-mail address, and a forgotten password."),
    ("second factors", "Codes of an authenticator, and recovery codes."),
    ("passkeys", "Signing in with a passkey, adding and removing passkeys."),
    ("profile", "The signed-in person's profile, its place on the ledger, and all that is kept."),
    ("documents", "The documents that a person hands in for a review."),
    ("review", "Submitting an account for review, and the decision."),
];

/// Settings that only this service has.
#[derive(Clone, Debug, clap::Args)]
pub struct IdentitySettings {
    /// Documents that a person must hand in before review, separated by commas, with `|` between
    /// those of which one is enough; a card with both sides; `none` if no document is required
    #[arg(long, env = "GX_KYC_REQUIRED_DOCUMENTS", default_value_t = RequiredDocuments::default())]
    pub kyc_required_documents: RequiredDocuments,
    /// Number of documents that a person may hand in, 1 to 1000
    #[arg(long, env = "GX_DOCUMENTS_PER_PERSON", default_value_t = 20,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub documents_per_person: u16,
    /// Size of all documents of a person together, in MiB, 10 to 10000
    #[arg(long, env = "GX_DOCUMENT_MIB_PER_PERSON", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(10..=10_000))]
    pub document_mib_per_person: u32,
    /// Require a confirmed e-mail address before review
    #[arg(long, env = "GX_KYC_VERIFIED_EMAIL", action = clap::ArgAction::Set,
          default_value_t = false)]
    pub kyc_verified_email: bool,
    /// Whether a registration signs in at once, or must be confirmed by mail first
    #[arg(long, env = "GX_REGISTRATION_MODE", value_enum, default_value = "open")]
    pub registration_mode: RegistrationMode,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self {
            kyc_required_documents: RequiredDocuments::default(),
            documents_per_person: 20,
            document_mib_per_person: 100,
            kyc_verified_email: false,
            registration_mode: RegistrationMode::default(),
        }
    }
}

/// The state that all handlers share.
#[derive(Clone)]
struct ServiceState {
    base: Foundation,
    factors: SecondFactors,
    passkeys: Passkeys,
    documents: Documents,
    required_documents: RequiredDocuments,
    document_quota: DocumentQuota,
    requires_verified_email: bool,
    registration_mode: RegistrationMode,
}

/// Builds the service.
pub fn service(settings: &IdentitySettings, base: Foundation, documents: Documents) -> Service {
    let parts = base.parts(SERVICE);
    let factors = SecondFactors::new(&base);
    let passkeys = Passkeys::new(&base, &factors);
    let registering = match settings.registration_mode {
        RegistrationMode::Open => RouteLimit::Register,
        RegistrationMode::Verified => RouteLimit::RegisterByMail,
    };
    let closing = &[&ACCOUNT_HAS_FUNDS, &WRONG_PASSWORD, &SECOND_FACTOR_DELAYED];
    let api = Api::new(SERVICE, base.auth.clone()).with_tags(&TAGS);
    let api = mail_routes(api, &base)
        .public(
            routes!(registration::http::register),
            &[&EMAIL_TAKEN, &PHONE_TAKEN, &INVALID_CREDENTIALS],
        )
        .limited(registering);
    let mut api = sign_in_routes(api, &base, &passkeys)
        .user_retrying(routes!(login::http::logout), &[])
        .user_retrying(routes!(login::http::logout_all), &[])
        .public(routes!(login::http::jwks), &[])
        .limited(RouteLimit::General)
        .user_retrying(
            change_password_route(Realm::User, "/api/v1/auth/password/change", &base),
            &[&WRONG_PASSWORD],
        )
        .user_retrying(sessions_route(Realm::User, "/api/v1/users/me/sessions", &base), &[])
        .user_retrying(
            end_session_route(Realm::User, "/api/v1/users/me/sessions/{id}", &base),
            &[&NO_SESSION],
        )
        .user_retrying(routes!(profile::http::get_me), &[])
        .user_retrying(routes!(profile::http::patch_me), &[&PROFILE_CLOSED, &PHONE_TAKEN])
        .user(routes!(profile::http::onchain), &[])
        .user_retrying(routes!(export::http::export), &[])
        .limited(RouteLimit::Files)
        .user_retrying(routes!(closing::http::close), closing)
        .user_retrying(routes!(kyc::http::get_kyc), &[])
        .user_retrying(routes!(kyc::http::submit), &[&KYC_NOT_OPEN, &KYC_INCOMPLETE]);
    api = document_routes(api);
    for (routes, problems) in totp_routes(&factors, "/api/v1/users/me/totp") {
        api = api.user(routes, problems);
    }
    for (routes, problems) in passkey_routes(&passkeys, "/api/v1/users/me/passkeys") {
        api = api.user(routes, problems);
    }
    let state = ServiceState {
        base,
        factors,
        passkeys,
        documents,
        required_documents: settings.kyc_required_documents.clone(),
        document_quota: DocumentQuota {
            max_documents: settings.documents_per_person,
            max_mib: settings.document_mib_per_person,
        },
        requires_verified_email: settings.kyc_verified_email,
        registration_mode: settings.registration_mode,
    };
    api.into_service(state, parts).with_pages(|api| link_pages(api, Realm::User))
}

/// Adds the routes that open a session, or exchange its tokens.
fn sign_in_routes(
    api: Api<ServiceState>,
    base: &Foundation,
    passkeys: &Passkeys,
) -> Api<ServiceState> {
    let signing_in = &[&INVALID_CREDENTIALS, &SECOND_FACTOR_REQUIRED, &SECOND_FACTOR_DELAYED];
    api.public(routes!(login::http::login), signing_in)
        .limited(RouteLimit::Login)
        .public(
            passkey_challenge_route(Realm::User, "/api/v1/auth/passkeys/options", passkeys),
            &[&PASSKEYS_NOT_CONFIGURED],
        )
        .limited(RouteLimit::Credential)
        .public(
            routes!(login::http::passkey_login),
            &[&PASSKEYS_NOT_CONFIGURED, &CHALLENGE_ENDED, &INVALID_CREDENTIALS],
        )
        .limited(RouteLimit::Credential)
        .public(refresh_route(Realm::User, "/api/v1/auth/refresh", base), &[&INVALID_REFRESH_TOKEN])
        .limited(RouteLimit::Refresh)
}

/// Adds the routes about documents.
fn document_routes(api: Api<ServiceState>) -> Api<ServiceState> {
    let adding = &[&DOCUMENTS_CLOSED, &TOO_MANY_DOCUMENTS, &DOCUMENT_REFUSED];
    let replacing = &[&NO_DOCUMENT, &DOCUMENTS_CLOSED, &TOO_MANY_DOCUMENTS, &DOCUMENT_REFUSED];
    let opening = &[&NO_DOCUMENT, &DOCUMENT_HELD, &DOCUMENT_ERASED];
    api.user_retrying(routes!(documents::http::add), adding)
        .limited(RouteLimit::Files)
        .user_retrying(routes!(documents::http::list), &[])
        .user_retrying(routes!(documents::http::get), &[&NO_DOCUMENT])
        .user_retrying(routes!(documents::http::replace), replacing)
        .limited(RouteLimit::Files)
        .user_retrying(routes!(documents::http::remove), &[&NO_DOCUMENT, &DOCUMENTS_CLOSED])
        .user_retrying(routes!(documents::http::content), opening)
        .limited(RouteLimit::Files)
}

/// Adds the routes that send mail, or take what a mail contains.
fn mail_routes(api: Api<ServiceState>, base: &Foundation) -> Api<ServiceState> {
    let path = |rest: &str| format!("/api/v1/auth/{rest}");
    api.public(
        email_verification_route(Realm::User, &path("email/verification"), base),
        &[&UNAUTHENTICATED],
    )
    .limited(RouteLimit::Mail)
    .public(
        verify_email_route(Realm::User, &path("email/verify"), base),
        &[&INVALID_MAIL_TOKEN, &EMAIL_TAKEN, &WRONG_PASSWORD, &UNAUTHENTICATED],
    )
    .limited(RouteLimit::Credential)
    .user_retrying(change_email_route(Realm::User, &path("email/change"), base), &[&WRONG_PASSWORD])
    .limited(RouteLimit::Mail)
    .public(forgot_password_route(Realm::User, &path("password/forgot"), base), &[])
    .limited(RouteLimit::Mail)
    .public(
        reset_password_route(Realm::User, &path("password/reset"), base),
        &[&INVALID_MAIL_TOKEN],
    )
    .limited(RouteLimit::Credential)
}
