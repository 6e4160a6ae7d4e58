//! svc-admin: administrators, the review of people, and what operators look at.

mod administrators;
mod commands;
mod dead_events;
mod freezes;
mod locks;
mod operations;
mod paging;
mod projection;
mod reason;
mod review;
#[cfg(test)]
mod tests;
mod users;

use std::sync::Arc;

use gx_auth::AdminRole::{Admin, Auditor, Reviewer};
use gx_auth::{Api, Foundation};
use gx_outbox::Waker;
use gx_serve::{ProblemKind, Service};
use secrecy::SecretString;
use utoipa_axum::routes;

pub use administrators::{CreateError, NewAdministrator, create_administrator, has_administrators};
pub use commands::{Decision, discard_command, retry_command};
pub use dead_events::{
    DeadEvent, DeadEventFilter, DeadEventState, Replay, ReplayError, ask_replay, dead_events,
};

/// The role's name.
pub const SERVICE: &str = "svc-admin";

/// Shortest biometric key: 256 bits.
const SHORTEST_KEY_BYTES: usize = 32;

/// The service's own settings.
#[derive(Clone, Debug, clap::Args)]
pub struct AdminSettings {
    /// Secret of at least 32 bytes under which people become biometric hashes on the ledger.
    #[arg(long, env = "GX_BIOMETRIC_KEY", hide_env_values = true, value_parser = strong_key)]
    pub biometric_key: SecretString,
}

fn strong_key(text: &str) -> Result<SecretString, String> {
    if text.len() < SHORTEST_KEY_BYTES {
        return Err(format!(
            "must have at least {SHORTEST_KEY_BYTES} bytes; `openssl rand -base64 48` makes one"
        ));
    }
    Ok(text.into())
}

/// The kinds of problems of this service.
const PROBLEMS: &[&ProblemKind] = &[
    &administrators::INVALID_CREDENTIALS,
    &administrators::INVALID_REFRESH_TOKEN,
    &users::NO_USER,
    &review::NOT_UNDER_REVIEW,
    &review::INCOMPLETE,
    &review::LOCKED,
    &locks::ALREADY_SO,
    &commands::NO_COMMAND,
    &commands::COMMAND_NOT_OPEN,
    &dead_events::NO_DEAD_EVENT,
    &dead_events::NOT_HELD,
    &dead_events::NO_TASK,
    &freezes::NOT_ON_LEDGER,
    &freezes::FREEZE_IN_PROGRESS,
    &gx_auth::SYSTEM_PAUSED,
];

/// What the handlers share.
#[derive(Clone)]
struct State {
    base: Foundation,
    biometric_key: Arc<SecretString>,
    waker: Waker,
}

/// The service, ready for a router or a listener. Runs inside a tokio runtime, for it starts
/// the task that wakes the submitter.
pub fn service(settings: &AdminSettings, base: Foundation) -> Service {
    let parts = base.parts(SERVICE, PROBLEMS);
    let api = Api::new(SERVICE, base.auth.clone())
        .public(routes!(administrators::http::login))
        .public(routes!(administrators::http::refresh))
        .admin(Auditor, routes!(administrators::http::logout))
        .admin(Auditor, routes!(users::http::list))
        .admin(Auditor, routes!(users::http::get))
        .admin(Reviewer, routes!(review::http::approve))
        .admin(Reviewer, routes!(review::http::deny))
        .admin(Reviewer, routes!(review::batch::approve_batch))
        .admin(Admin, routes!(locks::http::lock))
        .admin(Admin, routes!(locks::http::unlock))
        .admin(Admin, routes!(freezes::http::freeze))
        .admin(Admin, routes!(freezes::http::unfreeze))
        .admin(Auditor, routes!(commands::http::list))
        .admin(Auditor, routes!(commands::http::get))
        .admin(Admin, routes!(commands::http::retry))
        .admin(Admin, routes!(commands::http::discard))
        .admin(Auditor, routes!(dead_events::http::list))
        .admin(Auditor, routes!(dead_events::http::get))
        .admin(Admin, routes!(dead_events::http::replay_one))
        .admin(Admin, routes!(dead_events::http::replay_all))
        .admin(Auditor, routes!(dead_events::http::task))
        .admin(Admin, routes!(projection::http::verify))
        .admin(Admin, routes!(projection::http::rebuild))
        .admin(Auditor, routes!(operations::http::projection))
        .admin(Auditor, routes!(operations::http::system))
        .admin(Auditor, routes!(operations::http::audit_log));
    let waker = Waker::new(base.database.pool().clone());
    let biometric_key = Arc::new(settings.biometric_key.clone());
    api.into_service(State { base, biometric_key, waker }, parts)
}
