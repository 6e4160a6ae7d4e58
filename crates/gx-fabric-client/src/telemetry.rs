//! What the client counts and shows, labelled so that an alert can name peer and reason.

use crate::error::LedgerError;
use crate::heights::PeerHeight;

/// Counts a failed call or stream under its phase and kind.
pub(crate) fn count_failure(error: &LedgerError) {
    metrics::counter!(
        "gx_ledger_failures_total",
        "peer" => error.peer.clone().unwrap_or_default(),
        "phase" => error.phase.name(),
        "class" => error.kind()
    )
    .increment(1);
}

/// Shows how far each peer is; one that does not say has no number.
#[allow(clippy::cast_precision_loss, reason = "a gauge is for looking at")]
pub(crate) fn show_heights(heights: &[PeerHeight]) {
    for peer in heights {
        let height = peer.height.as_ref().map_or(f64::NAN, |height| *height as f64);
        metrics::gauge!(
            "gx_ledger_peer_height", "peer" => peer.peer.clone(), "msp" => peer.msp_id.clone()
        )
        .set(height);
    }
}
