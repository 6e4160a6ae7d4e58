//! svc-tokenomics: wallets and balances, from the read model alone.

mod amount;
mod supply;
mod wallets;

use gx_auth::{Api, Foundation};
use gx_serve::{ProblemKind, Service};
use utoipa_axum::routes;

/// The role's name.
pub const SERVICE: &str = "svc-tokenomics";

/// The kinds of problems of this service.
const PROBLEMS: &[&ProblemKind] = &[&wallets::NO_WALLET, &supply::NO_TREASURY];

/// What the handlers share.
#[derive(Clone)]
struct State {
    base: Foundation,
}

/// The service, ready for a router or a listener.
pub fn service(base: Foundation) -> Service {
    let parts = base.parts(SERVICE, PROBLEMS);
    let api = Api::new(SERVICE, base.auth.clone())
        .user(routes!(wallets::http::my_wallet))
        .user(routes!(wallets::http::my_transactions))
        .public(routes!(supply::http::supply))
        .public(routes!(supply::http::treasury));
    api.into_service(State { base }, parts)
}
