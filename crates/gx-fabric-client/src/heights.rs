//! Asking every peer how far it is, apart from any stream.

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::error::LedgerError;
use crate::ledger::Ledger;

/// How far one peer is.
#[derive(Clone, Debug)]
pub struct PeerHeight {
    /// The peer's endpoint.
    pub peer: String,
    /// The number of its newest block plus one, or why it did not say.
    pub height: Result<u64, LedgerError>,
}

/// The greatest height that any peer named.
pub(crate) fn tip(heights: &[PeerHeight]) -> Option<u64> {
    heights.iter().filter_map(|peer| peer.height.as_ref().ok().copied()).max()
}

/// Asks all peers again and again, until nobody listens.
pub(crate) async fn watch_heights(ledger: Ledger, heights: watch::Sender<Vec<PeerHeight>>) {
    let mut tick = tokio::time::interval(ledger.limits().height_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !heights.is_closed() {
        tick.tick().await;
        heights.send_replace(ledger.heights().await);
    }
}
