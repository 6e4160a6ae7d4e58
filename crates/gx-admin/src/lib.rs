//! svc-admin: the HTTP service for administrators. It reviews, locks and freezes people, and shows
//! and controls the outbox and the projector. `gx svc-admin` and `gx dev` call [`service`] and
//! serve the result; operator commands of `gx` call the public functions.

mod account_locks;
mod account_states;
mod acts;
mod administrator_accounts;
mod administrator_id;
mod administrators;
mod adoption;
mod ask_again;
mod audit_reason;
mod claims;
mod commands;
mod dead_events;
mod documents;
mod factor_resets;
mod freezes;
mod notes;
mod operations;
mod performing;
mod projection;
mod proposals;
mod reason_code;
mod review;
mod review_queue;
mod review_settings;
mod system;
#[cfg(test)]
mod tests;
mod user_sessions;
mod users;

use std::sync::Arc;

use gx_auth::AdminRole::{Admin, Auditor, Reviewer, SuperAdmin};
use gx_auth::{
    ACCOUNT_HAS_FUNDS, Administrator, Api, CHALLENGE_ENDED, EMAIL_TAKEN, Foundation,
    INVALID_CREDENTIALS, INVALID_MAIL_TOKEN, INVALID_REFRESH_TOKEN, NO_SESSION, PASSKEY_REQUIRED,
    PASSKEYS_NOT_CONFIGURED, Passkeys, Realm, SECOND_FACTOR_DELAYED, SECOND_FACTOR_REQUIRED,
    SYSTEM_PAUSED, SecondFactors, WRONG_PASSWORD, change_email_route, change_password_route,
    email_verification_route, end_session_route, forgot_password_route, link_pages,
    passkey_challenge_route, passkey_routes, refresh_route, reset_password_route, sessions_route,
    totp_routes, verify_email_route,
};
use gx_documents::{Documents, RequiredDocuments};
use gx_outbox::enqueue::Waker;
use gx_serve::problem::kind::UNAUTHENTICATED;
use gx_serve::{Problem, ProblemKind, RouteLimit, Service, TagText};
use secrecy::SecretString;
use utoipa_axum::routes;

use account_locks::ALREADY_SO;
use account_states::WRONG_STATUS;
use acts::{ActAnswer, ActRequest};
use administrator_accounts::{ADMINISTRATOR_EXISTS, LAST_SUPER_ADMIN};
use administrator_id::NO_ADMINISTRATOR;
use administrators::SECOND_FACTOR_ENROLMENT_REQUIRED;
use adoption::http::{NO_LEDGER_PERSON, NOT_ADOPTABLE, OTHER_PERSON};
use claims::{CANNOT_REVIEW, CLAIMED_BY_OTHER, NOT_UNDER_REVIEW};
use commands::{COMMAND_NOT_OPEN, NO_COMMAND};
use dead_events::{NO_DEAD_EVENT, NO_TASK, NOT_HELD};
use documents::{
    DOCUMENT_DECIDED, DOCUMENT_ERASED, DOCUMENT_HELD, DOCUMENTS_NOT_USABLE, NO_DOCUMENT, NO_PAGE,
    PAGE_NOT_DRAWN,
};
use freezes::{FREEZE_IN_PROGRESS, NOT_ON_LEDGER};
use proposals::{
    ALREADY_PROPOSED, NO_PROPOSAL, OWN_PROPOSAL, PROPOSAL_CLOSED, PROPOSER_NOT_ENTITLED,
};
use review::{HELD_ON_LEDGER, INCOMPLETE, LOCKED, OTHER_OWNER};
use system::{NO_TREASURY, PAUSE_IN_PROGRESS};
use users::NO_USER;

pub use administrators::{CreateError, NewAdministrator, create_administrator, has_administrators};
pub use adoption::{AdoptError, AdoptionResult, ask_adoption};
pub use commands::{
    AuditedDecision, BulkAction, BulkReport, bulk_step, discard_command, retry_command,
};
pub use dead_events::{
    DeadEvent, DeadEventFilter, DeadEventState, Replay, ReplayError, ask_replay, dead_events,
};
pub use projection::{CancelError, cancel_task};
pub use review_settings::{FourEyesAct, ReviewSettings};

/// Name of the role.
pub const SERVICE: &str = "svc-admin";

/// The groups of the routes.
const TAGS: [TagText; 13] = [
    ("sessions", "Signing in and out, changing the password, and sessions of people."),
    ("e-mail", "Confirming and changing the own e-mail address, and a forgotten password."),
    ("second factors", "Codes of an authenticator, recovery codes, and resets."),
    ("passkeys", "Signing in with a passkey, adding and removing passkeys."),
    ("users", "Lists and details of people."),
    ("review", "The queue of people under review, claims, notes, approvals and denials."),
    ("documents", "Documents of people: lists, pages as images, duplicates and decisions."),
    ("proposals", "Acts that a second administrator must confirm."),
    ("account states", "Suspending, reinstating and closing accounts, and legal holds."),
    ("locks", "Locking and unlocking accounts."),
    ("freezes", "Freezing and unfreezing wallets on the ledger."),
    ("administrators", "Inviting administrators, their roles and locks."),
    ("operations", "The outbox, dead events, the read model and the audit log."),
];

/// Least length of the biometric key: 256 bits.
const MIN_KEY_BYTES: usize = 32;

/// Settings that only this service has.
#[derive(Clone, Debug, clap::Args)]
pub struct AdminSettings {
    /// Secret of at least 32 bytes; the biometric hash of a person on the ledger is computed with
    /// it.
    #[arg(long, env = "GX_BIOMETRIC_KEY", hide_env_values = true, value_parser = parse_key)]
    pub biometric_key: SecretString,
    /// Documents that a person must hand in: groups separated by commas, a group with alternatives
    /// separated by `|`, or `none`. The same as that of svc-identity.
    #[arg(long, env = "GX_KYC_REQUIRED_DOCUMENTS", default_value_t)]
    pub kyc_required_documents: RequiredDocuments,
    /// Settings of reviews.
    #[command(flatten)]
    pub review: ReviewSettings,
}

/// Reads the biometric key from a setting. An error ends the start of the process.
fn parse_key(text: &str) -> Result<SecretString, String> {
    if text.len() < MIN_KEY_BYTES {
        return Err(format!(
            "must have at least {MIN_KEY_BYTES} bytes; create one with `openssl rand -base64 48`"
        ));
    }
    Ok(text.into())
}

/// The state that all handlers share.
#[derive(Clone)]
struct ServiceState {
    base: Foundation,
    factors: SecondFactors,
    passkeys: Passkeys,
    biometric_key: Arc<SecretString>,
    documents: Documents,
    required_documents: Arc<RequiredDocuments>,
    review: Arc<ReviewSettings>,
    waker: Waker,
}

/// Performs an act, or stores a proposal where a second administrator is needed. Called by the
/// routes of the acts, which a confirmation calls in turn.
async fn request_act(
    state: &ServiceState,
    who: &Administrator,
    wanted: &ActRequest,
) -> Result<ActAnswer, Problem> {
    proposals::request(state, who, wanted).await
}

/// Problems of a freeze or unfreeze.
const FREEZING: &[&ProblemKind] = &[
    &NO_USER,
    &NOT_ON_LEDGER,
    &ALREADY_SO,
    &FREEZE_IN_PROGRESS,
    &SYSTEM_PAUSED,
    &ALREADY_PROPOSED,
];
/// Problems of an approval.
const APPROVING: &[&ProblemKind] = &[
    &NO_USER,
    &NOT_UNDER_REVIEW,
    &CLAIMED_BY_OTHER,
    &LOCKED,
    &DOCUMENTS_NOT_USABLE,
    &HELD_ON_LEDGER,
    &OTHER_OWNER,
    &INCOMPLETE,
    &SYSTEM_PAUSED,
    &ALREADY_PROPOSED,
];
/// Problems of a confirmation: its own, and those of every act.
const CONFIRMING: &[&ProblemKind] = &[
    &NO_PROPOSAL,
    &OWN_PROPOSAL,
    &PROPOSAL_CLOSED,
    &PROPOSER_NOT_ENTITLED,
    &NO_USER,
    &NO_ADMINISTRATOR,
    &NO_TREASURY,
    &NOT_UNDER_REVIEW,
    &CLAIMED_BY_OTHER,
    &LOCKED,
    &DOCUMENTS_NOT_USABLE,
    &HELD_ON_LEDGER,
    &OTHER_OWNER,
    &INCOMPLETE,
    &NOT_ON_LEDGER,
    &ALREADY_SO,
    &FREEZE_IN_PROGRESS,
    &PAUSE_IN_PROGRESS,
    &SYSTEM_PAUSED,
];

/// Builds the service. Must be called in a tokio runtime, because it starts the task that wakes the
/// submitter. Panics if the foundation has no key ring.
pub fn service(settings: &AdminSettings, base: Foundation, documents: Documents) -> Service {
    let parts = base.parts(SERVICE);
    administrators::passkey_check::watch(&parts.health, &base);
    let factors = SecondFactors::new(&base);
    let passkeys = Passkeys::new(&base, &factors);
    let api = own_account_routes(&base, &factors, &passkeys);
    let api = operation_routes(people_routes(document_routes(review_routes(api))));
    let state = ServiceState {
        waker: Waker::new(base.database.pool().clone()),
        base,
        factors,
        passkeys,
        biometric_key: Arc::new(settings.biometric_key.clone()),
        documents,
        required_documents: Arc::new(settings.kyc_required_documents.clone()),
        review: Arc::new(settings.review.clone()),
    };
    let watch = Arc::new(proposals::watch::ReviewWatch::new(state.clone()));
    parts.health.check_with("review", false, move || {
        let watch = Arc::clone(&watch);
        Box::pin(async move { watch.check().await })
    });
    api.into_service(state, parts).with_pages(|api| link_pages(api, Realm::Admin))
}

/// Adds the routes about people's accounts and sessions.
fn people_routes(api: Api<ServiceState>) -> Api<ServiceState> {
    let held = &[&NO_USER, &ALREADY_SO];
    let closing = &[&NO_USER, &ALREADY_SO, &ACCOUNT_HAS_FUNDS];
    let suspending = &[&NO_USER, &ALREADY_SO, &WRONG_STATUS];
    api.admin(Auditor, routes!(user_sessions::http::list), &[&NO_USER])
        .admin(Admin, routes!(user_sessions::http::end_all), &[&NO_USER])
        .admin(Admin, routes!(user_sessions::http::end_one), &[&NO_USER, &NO_SESSION])
        .admin(Auditor, routes!(users::http::list), &[])
        .admin(Auditor, routes!(users::http::get), &[&NO_USER])
        .admin(Admin, routes!(account_locks::http::lock), held)
        .admin(Admin, routes!(account_locks::http::unlock), held)
        .admin(Admin, routes!(account_states::http::suspend), suspending)
        .admin(Admin, routes!(account_states::http::reinstate), suspending)
        .admin(Admin, routes!(account_states::http::close), closing)
        .admin(
            Admin,
            routes!(account_states::http::set_legal_hold, account_states::http::end_legal_hold),
            held,
        )
        .admin(Admin, routes!(factor_resets::http::reset_user), &[&NO_USER, &ALREADY_PROPOSED])
        .admin(Admin, routes!(freezes::http::freeze), FREEZING)
        .admin(Admin, routes!(freezes::http::unfreeze), FREEZING)
}

/// Adds the routes of reviews and proposals.
fn review_routes(api: Api<ServiceState>) -> Api<ServiceState> {
    let claiming = &[&NO_USER, &NOT_UNDER_REVIEW, &CLAIMED_BY_OTHER];
    let assigning =
        &[&NO_USER, &NO_ADMINISTRATOR, &NOT_UNDER_REVIEW, &CLAIMED_BY_OTHER, &CANNOT_REVIEW];
    let denying = &[&NO_USER, &NOT_UNDER_REVIEW, &CLAIMED_BY_OTHER];
    api.admin(Auditor, routes!(review_queue::http::list), &[])
        .admin(Reviewer, routes!(claims::http::claim), claiming)
        .admin(Reviewer, routes!(claims::http::release), &[&NO_USER, &CLAIMED_BY_OTHER])
        .admin(Reviewer, routes!(claims::http::assign), assigning)
        .admin(Auditor, routes!(notes::http::list), &[&NO_USER])
        .admin(Reviewer, routes!(notes::http::add), &[&NO_USER])
        .admin(Reviewer, routes!(review::http::approve), APPROVING)
        .admin(Reviewer, routes!(review::http::deny), denying)
        .admin(Reviewer, routes!(review::batch::approve_batch), &[&SYSTEM_PAUSED])
        .admin(Auditor, routes!(proposals::http::list), &[])
        .admin(Reviewer, routes!(proposals::http::confirm), CONFIRMING)
        .admin(Reviewer, routes!(proposals::http::reject), &[&NO_PROPOSAL, &PROPOSAL_CLOSED])
}

/// Adds the routes about people's documents. An AUDITOR sees the lists and opens nothing.
fn document_routes(api: Api<ServiceState>) -> Api<ServiceState> {
    let showing = &[&NO_DOCUMENT, &NO_PAGE, &DOCUMENT_ERASED, &DOCUMENT_HELD, &PAGE_NOT_DRAWN];
    let deciding = &[
        &NO_USER,
        &NO_DOCUMENT,
        &DOCUMENT_ERASED,
        &DOCUMENT_HELD,
        &DOCUMENT_DECIDED,
        &NOT_UNDER_REVIEW,
        &CLAIMED_BY_OTHER,
    ];
    let asking = &[&NO_USER, &NOT_UNDER_REVIEW, &CLAIMED_BY_OTHER];
    api.admin(Auditor, routes!(documents::http::list), &[&NO_USER])
        .admin(Auditor, routes!(documents::http::duplicates), &[&NO_USER])
        .admin(Reviewer, routes!(documents::http::page), showing)
        .admin(Reviewer, routes!(documents::http::decide), deciding)
        .admin(Reviewer, routes!(ask_again::http::ask_again), asking)
}

/// Adds the routes about the ledger, the outbox, the read model, administrators and the audit log.
fn operation_routes(api: Api<ServiceState>) -> Api<ServiceState> {
    let adopting = &[&NO_USER, &NO_LEDGER_PERSON, &NOT_ADOPTABLE, &OTHER_PERSON];
    let pausing = &[&ALREADY_SO, &PAUSE_IN_PROGRESS, &ALREADY_PROPOSED];
    let activating = &[&NO_TREASURY, &ALREADY_SO, &SYSTEM_PAUSED, &ALREADY_PROPOSED];
    let changing = &[&NO_ADMINISTRATOR, &LAST_SUPER_ADMIN];
    let resetting = &[&NO_ADMINISTRATOR, &ALREADY_PROPOSED];
    api.admin(Auditor, routes!(commands::http::list), &[])
        .admin(Auditor, routes!(commands::http::get), &[&NO_COMMAND])
        .admin(Admin, routes!(commands::http::retry), &[&NO_COMMAND, &COMMAND_NOT_OPEN])
        .admin(Admin, routes!(commands::http::discard), &[&NO_COMMAND, &COMMAND_NOT_OPEN])
        .admin(Admin, routes!(commands::bulk_http::retry), &[])
        .admin(Admin, routes!(commands::bulk_http::discard), &[])
        .admin(Auditor, routes!(dead_events::http::list), &[])
        .admin(Auditor, routes!(dead_events::http::get), &[&NO_DEAD_EVENT])
        .admin(Admin, routes!(dead_events::http::replay_one), &[&NO_DEAD_EVENT, &NOT_HELD])
        .admin(Admin, routes!(dead_events::http::replay_all), &[])
        .admin(Auditor, routes!(dead_events::http::task), &[&NO_TASK])
        .admin(Admin, routes!(projection::http::verify), &[])
        .admin(Admin, routes!(projection::http::rebuild), &[])
        .admin(Admin, routes!(adoption::http::adopt), adopting)
        .admin(SuperAdmin, routes!(system::http::pause), pausing)
        .admin(SuperAdmin, routes!(system::http::resume), pausing)
        .admin(SuperAdmin, routes!(system::http::activate), activating)
        .admin(Auditor, routes!(administrator_accounts::http::list), &[])
        .admin(SuperAdmin, routes!(administrator_accounts::http::invite), &[&ADMINISTRATOR_EXISTS])
        .admin(SuperAdmin, routes!(administrator_accounts::http::patch), changing)
        .admin(SuperAdmin, routes!(factor_resets::http::reset_administrator), resetting)
        .admin(Auditor, routes!(operations::http::projection), &[])
        .admin(Auditor, routes!(operations::http::system), &[])
        .admin(Auditor, routes!(operations::http::audit_log), &[])
}

/// Returns the routes with which administrators sign in and change their own account.
fn own_account_routes(
    base: &Foundation,
    factors: &SecondFactors,
    passkeys: &Passkeys,
) -> Api<ServiceState> {
    let signing_in = &[
        &INVALID_CREDENTIALS,
        &SECOND_FACTOR_REQUIRED,
        &SECOND_FACTOR_ENROLMENT_REQUIRED,
        &SECOND_FACTOR_DELAYED,
        &PASSKEY_REQUIRED,
    ];
    let api = Api::new(SERVICE, base.auth.clone()).with_tags(&TAGS);
    let mut api = mail_routes(api, base)
        .public(routes!(administrators::http::login), signing_in)
        .limited(RouteLimit::Login)
        .public(
            passkey_challenge_route(Realm::Admin, "/api/v1/admin/auth/passkeys/options", passkeys),
            &[&PASSKEYS_NOT_CONFIGURED],
        )
        .limited(RouteLimit::Credential)
        .public(
            routes!(administrators::http::passkey_login),
            &[&PASSKEYS_NOT_CONFIGURED, &CHALLENGE_ENDED, &INVALID_CREDENTIALS],
        )
        .limited(RouteLimit::Credential)
        .public(
            refresh_route(Realm::Admin, "/api/v1/admin/auth/refresh", base),
            &[&INVALID_REFRESH_TOKEN],
        )
        .limited(RouteLimit::Refresh)
        .admin(Auditor, routes!(administrators::http::logout), &[])
        .admin(
            Auditor,
            change_password_route(Realm::Admin, "/api/v1/admin/auth/password/change", base),
            &[&WRONG_PASSWORD],
        )
        .admin(Auditor, sessions_route(Realm::Admin, "/api/v1/admin/me/sessions", base), &[])
        .admin(
            Auditor,
            end_session_route(Realm::Admin, "/api/v1/admin/me/sessions/{id}", base),
            &[&NO_SESSION],
        );
    for (routes, problems) in totp_routes(factors, "/api/v1/admin/me/totp") {
        api = api.admin_enrolling(routes, problems);
    }
    for (routes, problems) in passkey_routes(passkeys, "/api/v1/admin/me/passkeys") {
        api = api.admin_enrolling(routes, problems);
    }
    api
}

/// Adds the routes that send mail to administrators, or take what a mail contains.
fn mail_routes(api: Api<ServiceState>, base: &Foundation) -> Api<ServiceState> {
    let path = |rest: &str| format!("/api/v1/admin/auth/{rest}");
    api.public(
        email_verification_route(Realm::Admin, &path("email/verification"), base),
        &[&UNAUTHENTICATED],
    )
    .limited(RouteLimit::Mail)
    .public(
        verify_email_route(Realm::Admin, &path("email/verify"), base),
        &[&INVALID_MAIL_TOKEN, &EMAIL_TAKEN, &UNAUTHENTICATED],
    )
    .limited(RouteLimit::Credential)
    .admin(
        Auditor,
        change_email_route(Realm::Admin, &path("email/change"), base),
        &[&WRONG_PASSWORD],
    )
    .limited(RouteLimit::Mail)
    .public(forgot_password_route(Realm::Admin, &path("password/forgot"), base), &[])
    .limited(RouteLimit::Mail)
    .public(
        reset_password_route(Realm::Admin, &path("password/reset"), base),
        &[&INVALID_MAIL_TOKEN],
    )
    .limited(RouteLimit::Credential)
}
