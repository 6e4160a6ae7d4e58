//! The heights of all peers, which are requested independently of any stream. `Ledger::heights`
//! makes them; the workers and a follower call it repeatedly.

use crate::chain::ChainError;
use crate::error::{LedgerError, Phase};
use crate::outcome_class::OutcomeClass;

/// The height of one peer.
#[derive(Clone, Debug)]
pub struct PeerHeight {
    /// The peer's endpoint.
    pub peer: String,
    /// The peer's organisation.
    pub msp_id: String,
    /// Whether the peer belongs to the reader's organisation. Only its height is trusted then.
    pub own: bool,
    /// The number of its newest block plus one, or why it is not known.
    pub height: Result<u64, LedgerError>,
    /// The error of its chain; if it is set, its height does not count.
    pub wrong_chain: Option<ChainError>,
}

impl PeerHeight {
    /// Returns the greatest height of our organisation's peers, or why there is none. Heights of
    /// other organisations are not trusted: a foreign peer could otherwise stop the submitter,
    /// which waits for the tip, or hide that our own peers are away.
    pub fn tip(heights: &[Self]) -> Result<u64, LedgerError> {
        own_tip(heights).ok_or_else(|| {
            let own = || heights.iter().filter(|peer| peer.own);
            let silent = own().find_map(|peer| peer.height.as_ref().err());
            let set_aside = || own().find_map(Self::set_aside_for);
            let failure = silent.cloned().or_else(set_aside);
            failure.expect("a configuration has at least one own peer")
        })
    }

    /// Returns why the height of a peer that answers does not count.
    fn set_aside_for(&self) -> Option<LedgerError> {
        let wrong = self.wrong_chain.as_ref()?;
        let reason = format!("the peer shows a wrong chain: {wrong}");
        let error = LedgerError::local(Phase::Stream, OutcomeClass::Unavailable, reason);
        Some(error.at(&self.peer))
    }

    /// Returns the peers whose height is unknown or whose chain is wrong, each with its
    /// organisation and the reason.
    pub fn unhealthy_peers(heights: &[Self]) -> Vec<String> {
        let why = |peer: &Self| {
            let (msp_id, name) = (&peer.msp_id, &peer.peer);
            match (&peer.height, &peer.wrong_chain) {
                (Err(error), _) => Some(format!("{msp_id} {name}: {}", error.message)),
                (Ok(_), Some(wrong)) => {
                    Some(format!("{msp_id} {name}: shows a wrong chain and is set aside: {wrong}"))
                }
                (Ok(_), None) => None,
            }
        };
        heights.iter().filter_map(why).collect()
    }

    /// Returns by how many blocks our peers are behind those of other organisations, by the heights
    /// that those report.
    pub fn behind_others(heights: &[Self]) -> u64 {
        let others = heights.iter().filter(|peer| !peer.own);
        let most = others.filter_map(|peer| peer.height.as_ref().ok().copied()).max();
        most.unwrap_or(0).saturating_sub(own_tip(heights).unwrap_or(u64::MAX))
    }
}

/// Returns the greatest height of our organisation's peers that show no wrong chain, or `None` if
/// none of them answers.
pub(crate) fn own_tip(heights: &[PeerHeight]) -> Option<u64> {
    let own = heights.iter().filter(|peer| peer.own && peer.wrong_chain.is_none());
    own.filter_map(|peer| peer.height.as_ref().ok().copied()).max()
}

/// Sets the height of each peer and whether it is set aside. An unknown height is NaN.
pub(crate) fn show_heights(heights: &[PeerHeight]) {
    for peer in heights {
        let height = peer.height.as_ref().map_or(f64::NAN, |height| *height as f64);
        metrics::gauge!(
            "gx_ledger_peer_height", "peer" => peer.peer.clone(), "msp" => peer.msp_id.clone()
        )
        .set(height);
        metrics::gauge!(
            "gx_ledger_peer_set_aside", "peer" => peer.peer.clone(), "msp" => peer.msp_id.clone()
        )
        .set(f64::from(u8::from(peer.wrong_chain.is_some())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(own: bool, height: Option<u64>) -> PeerHeight {
        let (peer, msp_id) = ("peer:7051".to_owned(), "MSP".to_owned());
        let away = || LedgerError::local(Phase::Stream, OutcomeClass::Unavailable, "away");
        PeerHeight { peer, msp_id, own, height: height.ok_or_else(away), wrong_chain: None }
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
    /// PRJ-17: the height of a peer with a wrong chain would keep the submitter waiting for ever.
    #[test]
    fn prj_17_the_height_of_a_wrong_chain_does_not_count() {
        let wrong = |height| PeerHeight {
            wrong_chain: Some(ChainError::DataHash { number: 3 }),
            ..peer(true, height)
        };
        assert_eq!(PeerHeight::tip(&[wrong(Some(9)), peer(true, Some(7))]).unwrap(), 7);
        let refused = PeerHeight::tip(&[wrong(Some(9))]).unwrap_err();
        assert!(refused.message.contains("wrong chain: forged block"), "{refused}");
        let named = PeerHeight::unhealthy_peers(&[wrong(Some(9)), peer(true, Some(7))]);
        assert_eq!(named.len(), 1, "{named:?}");
        assert!(named[0].contains("peer:7051") && named[0].contains("block 3"), "{named:?}");
    }
}
