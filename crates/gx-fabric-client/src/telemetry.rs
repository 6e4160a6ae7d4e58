//! The metrics of the client, counted where a call, stream or block fails. Their labels name the
//! peer and the reason.

use crate::chain::ChainError;
use crate::error::LedgerError;

/// Counts a failed call or stream by peer, phase and kind.
pub(crate) fn count_failure(error: &LedgerError) {
    metrics::counter!(
        "gx_ledger_failures_total",
        "peer" => error.peer.clone().unwrap_or_default(),
        "phase" => error.phase.name(),
        "class" => error.kind()
    )
    .increment(1);
}

/// Counts a wrong chain by peer and kind.
pub(crate) fn count_wrong_chain(peer: &str, error: &ChainError) {
    metrics::counter!(
        "gx_ledger_wrong_chains_total", "peer" => peer.to_owned(), "class" => error.kind()
    )
    .increment(1);
}
