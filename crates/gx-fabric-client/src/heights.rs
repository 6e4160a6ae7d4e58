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
    /// The peer's organisation.
    pub msp_id: String,
    /// Whether it belongs to the reader's organisation, so that its word counts.
    pub own: bool,
    /// The number of its newest block plus one, or why it did not say.
    pub height: Result<u64, LedgerError>,
}

impl PeerHeight {
    /// The greatest height that a peer of the reader's organisation names, or why none does.
    /// Another organisation's word alone is not believed: with it a foreign peer could stop
    /// the submitter, which waits for the tip, or hide that our own peers are away.
    pub fn tip(heights: &[Self]) -> Result<u64, LedgerError> {
        own_tip(heights).ok_or_else(|| {
            let mut own = heights.iter().filter(|peer| peer.own);
            let failure = own.find_map(|peer| peer.height.as_ref().err());
            failure.expect("a configuration has at least one own peer").clone()
        })
    }

    /// The peers that do not say how far they are, each with its organisation and the reason.
    pub fn silent(heights: &[Self]) -> Vec<String> {
        let why = |peer: &Self| {
            let error = peer.height.as_ref().err()?;
            Some(format!("{} {}: {}", peer.msp_id, peer.peer, error.message))
        };
        heights.iter().filter_map(why).collect()
    }

    /// How many blocks other organisations' peers have that ours have not, by their word.
    pub fn behind_others(heights: &[Self]) -> u64 {
        let others = heights.iter().filter(|peer| !peer.own);
        let most = others.filter_map(|peer| peer.height.as_ref().ok().copied()).max();
        most.unwrap_or(0).saturating_sub(own_tip(heights).unwrap_or(u64::MAX))
    }
}

/// The greatest height that a peer of the reader's organisation names.
pub(crate) fn own_tip(heights: &[PeerHeight]) -> Option<u64> {
    let own = heights.iter().filter(|peer| peer.own);
    own.filter_map(|peer| peer.height.as_ref().ok().copied()).max()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{OutcomeClass, Phase};

    fn peer(own: bool, height: Option<u64>) -> PeerHeight {
        let (peer, msp_id) = ("peer:7051".to_owned(), "MSP".to_owned());
        let away = || LedgerError::local(Phase::Stream, OutcomeClass::Unavailable, "away");
        PeerHeight { peer, msp_id, own, height: height.ok_or_else(away) }
    }

    #[test]
    fn another_organisations_height_alone_is_not_believed() {
        let heights = [peer(true, Some(7)), peer(true, None), peer(false, Some(9))];
        assert_eq!(PeerHeight::tip(&heights).unwrap(), 7);
        assert_eq!(PeerHeight::behind_others(&heights), 2);

        let heights = [peer(true, None), peer(false, Some(9))];
        assert_eq!(PeerHeight::tip(&heights).unwrap_err().message, "away");
        assert_eq!(PeerHeight::behind_others(&heights), 0, "not behind: away");
    }
}
