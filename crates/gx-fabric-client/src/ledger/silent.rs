//! Who is missing where a gateway only says that somebody is.

use tonic::Code;

use super::Ledger;
use crate::error::{EndorserDetail, LedgerError, OutcomeClass, Phase};

impl Ledger {
    /// A gateway that counts a peer out says that no combination of peers satisfies the
    /// policy, and not who is missing: the configured peers that do not answer are named.
    pub(super) async fn name_silent(&self, mut error: LedgerError) -> LedgerError {
        let unnamed = error.phase == Phase::Endorse
            && error.class == OutcomeClass::Unavailable
            && error.code == Code::FailedPrecondition
            && error.details.is_empty();
        if !unnamed {
            return error;
        }
        for peer in self.heights().await {
            if let Err(why) = peer.height {
                let message = format!("does not answer: {}", why.message);
                let (address, msp_id) = (peer.peer, peer.msp_id);
                error.details.push(EndorserDetail { address, msp_id, message });
            }
        }
        // Whoever asks while its breaker is open is told too.
        if let Some(peer) =
            self.0.peers.iter().find(|peer| Some(peer.endpoint()) == error.peer.as_deref())
        {
            peer.remember(&error);
        }
        error
    }
}
