//! svc-tokenomics: the HTTP service for money. It shows wallets and the supply from the read model,
//! and enqueues transfers. `gx svc-tokenomics` and `gx dev` call [`service`] and serve the result.

mod amount;
mod ledger;
mod supply;
#[cfg(test)]
mod tests;
mod transfers;
mod wallets;

use gx_auth::{Api, Foundation, SYSTEM_PAUSED};
use gx_outbox::enqueue::Waker;
use gx_serve::idempotency::{IN_PROGRESS, KEY_REQUIRED, KEY_REUSED};
use gx_serve::{RouteLimit, Service, TagText};
use utoipa_axum::routes;

use supply::NO_TREASURY;
use transfers::{
    INSUFFICIENT_BALANCE, NO_TRANSFER, NOT_POSSIBLE, NOT_YOURS, SELF_TRANSFER, TOO_MANY_PENDING,
    UNKNOWN_RECEIVER, WALLET_FROZEN,
};
use wallets::NO_WALLET;

/// Name of the role.
pub const SERVICE: &str = "svc-tokenomics";

/// The groups of the routes.
const TAGS: [TagText; 4] = [
    ("wallets", "Balance and history of the signed-in person."),
    ("transfers", "Fees, quotes and orders, and following an order."),
    ("supply", "All GX: people, treasuries and pools."),
    ("ledger", "Whether the ledger can change accounts now."),
];

/// The state that all handlers share.
#[derive(Clone)]
struct ServiceState {
    base: Foundation,
    live: transfers::live::FollowedTransfers,
    supply: supply::Supply,
    waker: Waker,
}

/// Builds the service. Must be called in a tokio runtime, because it starts the task that wakes the
/// submitter.
pub fn service(base: Foundation) -> Service {
    let parts = base.parts(SERVICE);
    let api = Api::new(SERVICE, base.auth.clone())
        .with_tags(&TAGS)
        .user(routes!(wallets::http::my_wallet), &[&NO_WALLET])
        .user(routes!(wallets::http::my_transactions), &[&NO_WALLET])
        .public(routes!(transfers::http::fees), &[])
        .limited(RouteLimit::General)
        .user(
            routes!(transfers::http::quote),
            &[&NO_WALLET, &INSUFFICIENT_BALANCE, &UNKNOWN_RECEIVER, &SELF_TRANSFER, &NOT_POSSIBLE],
        )
        .user(
            routes!(transfers::http::order),
            &[
                &NO_WALLET,
                &INSUFFICIENT_BALANCE,
                &WALLET_FROZEN,
                &TOO_MANY_PENDING,
                &UNKNOWN_RECEIVER,
                &SELF_TRANSFER,
                &NOT_POSSIBLE,
                &KEY_REQUIRED,
                &IN_PROGRESS,
                &KEY_REUSED,
                &SYSTEM_PAUSED,
            ],
        )
        .user(routes!(transfers::http::follow), &[&NO_TRANSFER, &NOT_YOURS])
        .public(routes!(supply::http::supply), &[])
        .limited(RouteLimit::General)
        .public(routes!(supply::http::treasury), &[&NO_TREASURY])
        .limited(RouteLimit::General)
        .public(routes!(ledger::http::ledger), &[])
        .limited(RouteLimit::General);
    let live = transfers::live::FollowedTransfers::new(base.clone(), parts.health.clone());
    let waker = Waker::new(base.database.pool().clone());
    api.into_service(ServiceState { base, live, supply: supply::Supply::default(), waker }, parts)
}
