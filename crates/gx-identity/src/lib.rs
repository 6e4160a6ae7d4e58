//! svc-identity: registration, login, sessions, profile, submission for review.

mod kyc;
mod login;
mod person;
mod profile;
mod registration;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use gx_auth::{Api, Foundation};
use gx_serve::{ProblemKind, Service};
use utoipa_axum::routes;

/// The role's name.
pub const SERVICE: &str = "svc-identity";

/// The service's own settings.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct IdentitySettings {
    /// Types of documents that a person hands in before review, separated by commas; none by
    /// default.
    #[arg(long, env = "GX_KYC_REQUIRED_DOCUMENTS", value_delimiter = ',')]
    pub kyc_required_documents: Vec<String>,
}

/// The kinds of problems of this service.
const PROBLEMS: &[&ProblemKind] = &[
    &registration::EMAIL_TAKEN,
    &registration::PHONE_TAKEN,
    &login::INVALID_CREDENTIALS,
    &login::INVALID_REFRESH_TOKEN,
    &profile::PROFILE_CLOSED,
    &kyc::KYC_INCOMPLETE,
    &kyc::KYC_NOT_OPEN,
];

/// What the handlers share.
#[derive(Clone)]
struct State {
    base: Foundation,
    required_documents: Arc<[String]>,
}

/// The service, ready for a router or a listener.
pub fn service(settings: &IdentitySettings, base: Foundation) -> Service {
    let parts = base.parts(SERVICE, PROBLEMS);
    let api = Api::new(SERVICE, base.auth.clone())
        .public(routes!(registration::http::register))
        .public(routes!(login::http::login))
        .public(routes!(login::http::refresh))
        .user_retrying(routes!(login::http::logout))
        .user_retrying(routes!(login::http::logout_all))
        .public(routes!(login::http::jwks))
        .user_retrying(routes!(profile::http::get_me, profile::http::patch_me))
        .user(routes!(profile::http::onchain))
        .user_retrying(routes!(kyc::http::get_kyc))
        .user_retrying(routes!(kyc::http::submit));
    let required_documents = settings.kyc_required_documents.clone().into();
    api.into_service(State { base, required_documents }, parts)
}
