//! svc-identity: the HTTP service for people. It registers people, opens and ends their sessions,
//! shows and changes profiles, and accepts submissions for review. `gx svc-identity` and `gx dev`
//! call
//! [`service`] and serve the result.

mod kyc;
mod login;
mod person;
mod profile;
mod registration;
mod taken;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use gx_auth::{
    Api, CHALLENGE_ENDED, Foundation, INVALID_CREDENTIALS, INVALID_REFRESH_TOKEN, NO_SESSION,
    PASSKEYS_NOT_CONFIGURED, Passkeys, Realm, SECOND_FACTOR_DELAYED, SECOND_FACTOR_REQUIRED,
    SecondFactors, WRONG_PASSWORD, change_password_route, end_session_route,
    passkey_challenge_route, passkey_routes, refresh_route, sessions_route, totp_routes,
};
use gx_serve::{RouteLimit, Service, TagText};
use utoipa_axum::routes;

use kyc::{KYC_INCOMPLETE, KYC_NOT_OPEN};
use profile::PROFILE_CLOSED;
use taken::{EMAIL_TAKEN, PHONE_TAKEN};

/// Name of the role.
pub const SERVICE: &str = "svc-identity";

/// The groups of the routes.
const TAGS: [TagText; 6] = [
    ("registration", "Registering a person."),
    ("sessions", "Signing in and out, refreshing tokens, changing the password."),
    ("second factors", "Codes of an authenticator, and recovery codes."),
    ("passkeys", "Signing in with a passkey, adding and removing passkeys."),
    ("profile", "The signed-in person's profile, and its place on the ledger."),
    ("review", "Submitting an account for review, and the decision."),
];

/// Settings that only this service has.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct IdentitySettings {
    /// Types of documents that a person must hand in before review, separated by commas; none by
    /// default
    #[arg(long, env = "GX_KYC_REQUIRED_DOCUMENTS", value_delimiter = ',')]
    pub kyc_required_documents: Vec<String>,
}

/// The state that all handlers share.
#[derive(Clone)]
struct ServiceState {
    base: Foundation,
    factors: SecondFactors,
    passkeys: Passkeys,
    required_documents: Arc<[String]>,
}

/// Builds the service. Panics if the foundation has no key ring.
pub fn service(settings: &IdentitySettings, base: Foundation) -> Service {
    let parts = base.parts(SERVICE);
    let factors = SecondFactors::new(&base);
    let passkeys = Passkeys::new(&base, &factors);
    let signing_in = &[&INVALID_CREDENTIALS, &SECOND_FACTOR_REQUIRED, &SECOND_FACTOR_DELAYED];
    let mut api = Api::new(SERVICE, base.auth.clone())
        .with_tags(&TAGS)
        .public(
            routes!(registration::http::register),
            &[&EMAIL_TAKEN, &PHONE_TAKEN, &INVALID_CREDENTIALS],
        )
        .limited(RouteLimit::Register)
        .public(routes!(login::http::login), signing_in)
        .limited(RouteLimit::Login)
        .public(
            passkey_challenge_route(Realm::User, "/api/v1/auth/passkeys/options", &passkeys),
            &[&PASSKEYS_NOT_CONFIGURED],
        )
        .limited(RouteLimit::Credential)
        .public(
            routes!(login::http::passkey_login),
            &[&PASSKEYS_NOT_CONFIGURED, &CHALLENGE_ENDED, &INVALID_CREDENTIALS],
        )
        .limited(RouteLimit::Credential)
        .public(
            refresh_route(Realm::User, "/api/v1/auth/refresh", &base),
            &[&INVALID_REFRESH_TOKEN],
        )
        .limited(RouteLimit::Refresh)
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
        .user_retrying(routes!(kyc::http::get_kyc), &[])
        .user_retrying(routes!(kyc::http::submit), &[&KYC_NOT_OPEN, &KYC_INCOMPLETE]);
    for (routes, problems) in totp_routes(&factors, "/api/v1/users/me/totp") {
        api = api.user(routes, problems);
    }
    for (routes, problems) in passkey_routes(&passkeys, "/api/v1/users/me/passkeys") {
        api = api.user(routes, problems);
    }
    let required_documents = settings.kyc_required_documents.clone().into();
    api.into_service(ServiceState { base, factors, passkeys, required_documents }, parts)
}
