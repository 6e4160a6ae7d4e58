//! Names the peers that do not answer, if a gateway does not name them. Called by
//! [`Ledger::endorse`] after each failure.

use tonic::Code;

use super::Ledger;
use crate::error::{EndorserDetail, LedgerError, Phase};
use crate::outcome_class::OutcomeClass;

impl Ledger {
    /// Adds the configured peers that do not answer to an endorsement error. A gateway that ignores
    /// such a peer says only that no combination of peers satisfies the policy. Other errors are
    /// returned unchanged.
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
        // Calls that the open circuit breaker stops get this error, too.
        if let Some(peer) =
            self.0.peers.iter().find(|peer| Some(peer.endpoint()) == error.peer.as_deref())
        {
            peer.remember(&error);
        }
        error
    }
}
