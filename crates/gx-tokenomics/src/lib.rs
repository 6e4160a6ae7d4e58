//! svc-tokenomics: wallets, transfers, supply, and what the ledger can do. It reads the read model and writes wishes.

mod amount;
mod ledger;
mod supply;
mod transfers;
mod wallets;

use gx_auth::{Api, Foundation};
use gx_outbox::Waker;
use gx_serve::idempotency;
use gx_serve::{ProblemKind, Service};
use utoipa_axum::routes;

/// The role's name.
pub const SERVICE: &str = "svc-tokenomics";

/// The kinds of problems of this service.
const PROBLEMS: &[&ProblemKind] = &[
    &wallets::NO_WALLET,
    &supply::NO_TREASURY,
    &transfers::UNKNOWN_RECEIVER,
    &transfers::SELF_TRANSFER,
    &transfers::NOT_POSSIBLE,
    &transfers::WALLET_FROZEN,
    &transfers::INSUFFICIENT_BALANCE,
    &transfers::TOO_MANY_PENDING,
    &transfers::NO_TRANSFER,
    &transfers::NOT_YOURS,
    &gx_auth::SYSTEM_PAUSED,
    &idempotency::KEY_REQUIRED,
    &idempotency::KEY_REUSED,
    &idempotency::IN_PROGRESS,
];

/// What the handlers share.
#[derive(Clone)]
struct State {
    base: Foundation,
    live: transfers::live::Live,
    supply: supply::Supply,
    waker: Waker,
}

/// The service, ready for a router or a listener. Runs inside a tokio runtime, for it starts
/// the task that wakes the submitter.
pub fn service(base: Foundation) -> Service {
    let parts = base.parts(SERVICE, PROBLEMS);
    let api = Api::new(SERVICE, base.auth.clone())
        .user(routes!(wallets::http::my_wallet))
        .user(routes!(wallets::http::my_transactions))
        .public(routes!(transfers::http::fees))
        .user(routes!(transfers::http::quote))
        .user(routes!(transfers::http::order))
        .user(routes!(transfers::http::follow))
        .public(routes!(supply::http::supply))
        .public(routes!(supply::http::treasury))
        .public(routes!(ledger::http::ledger));
    let live = transfers::live::Live::new(base.clone(), parts.health.clone());
    let waker = Waker::new(base.database.pool().clone());
    api.into_service(State { base, live, supply: supply::Supply::default(), waker }, parts)
}
