//! How a peer's gateway has proposals processed, by its own peer and by others. Called by Endorse
//! and Evaluate.

use std::sync::Arc;
use std::time::Duration;

use gx_fabric_proto::gateway::ErrorDetail;
use tonic::Code;

use crate::endorser::{EndorseRefusal, Simulated};
use crate::faults::Unreachable;
use crate::node::{Node, Peer};
use crate::proposal::Unpacked;
use crate::status::{DEADLINE_EXCEEDED, connection_refused, error_detail};

/// Time limit of another peer (`peer.gateway.endorsementTimeout`).
const ENDORSEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a peer did not process a proposal, from the side of the calling gateway.
pub(super) struct PeerFailure {
    /// The status code of a call that ends with this failure.
    pub(super) code: Code,
    pub(super) detail: ErrorDetail,
    /// Whether another peer may succeed.
    pub(super) retry: bool,
}

/// Returns the peers on which this one counts, itself first.
pub(super) fn reachable_peers(node: &Node, own: &Arc<Peer>) -> Vec<Arc<Peer>> {
    let others = node.peers.iter().filter(|peer| !Arc::ptr_eq(peer, own));
    let others = others.filter(|peer| peer.faults.is_counted_on());
    std::iter::once(own).chain(others).cloned().collect()
}

/// Has a peer simulate a proposal. If `alike` has the result, which is the same on every peer, it
/// is used instead. Another peer may be down or silent; its failure has a peer's message.
pub(super) async fn process(
    node: &Arc<Node>,
    own: &Arc<Peer>,
    peer: &Arc<Peer>,
    proposal: &Arc<Unpacked>,
    alike: Option<Arc<Simulated>>,
) -> Result<Arc<Simulated>, PeerFailure> {
    let simulate = async {
        match alike {
            Some(simulated) => Ok(simulated),
            None => node.simulate(peer, proposal).await.map(Arc::new),
        }
    };
    if Arc::ptr_eq(own, peer) {
        return simulate.await.map_err(|refusal| at_home(peer, &refusal));
    }
    let call = async {
        match peer.faults.reached().await {
            Ok(()) => simulate.await.map_err(|refusal| elsewhere(peer, &refusal)),
            Err(Unreachable) => Err(unreached(peer, &connection_refused(&peer.address))),
        }
    };
    let answer = tokio::time::timeout(ENDORSEMENT_TIMEOUT, call).await;
    answer.unwrap_or_else(|_elapsed| Err(unreached(peer, DEADLINE_EXCEEDED)))
}

/// Returns the failure for an error that the chaincode answered.
pub(super) fn chaincode_failed(peer: &Peer, status: i32, message: &str) -> PeerFailure {
    at_home(peer, &EndorseRefusal::chaincode(status, message))
}

/// Returns the failure of a peer that its own gateway has called.
fn at_home(peer: &Peer, refusal: &EndorseRefusal) -> PeerFailure {
    let (code, retry) = match refusal {
        EndorseRefusal::Filtered(_) => (Code::Unavailable, true),
        EndorseRefusal::Peer(_) => (Code::Aborted, true),
        EndorseRefusal::Proposal(_) => (Code::FailedPrecondition, false),
        EndorseRefusal::Chaincode(_) => (Code::Unknown, false),
    };
    failure(peer, code, refusal.message(), retry)
}

/// Returns the failure of another peer. If that peer refused the proposal before simulating it, the
/// caller's gateway sees only an error without a code.
fn elsewhere(peer: &Peer, refusal: &EndorseRefusal) -> PeerFailure {
    match refusal {
        EndorseRefusal::Filtered(message) | EndorseRefusal::Proposal(message) => {
            unreached(peer, &format!("rpc error: code = Unknown desc = {message}"))
        }
        EndorseRefusal::Peer(_) | EndorseRefusal::Chaincode(_) => at_home(peer, refusal),
    }
}

/// Returns the failure of a peer from which no answer came.
fn unreached(peer: &Peer, message: &str) -> PeerFailure {
    failure(peer, Code::Unavailable, message, true)
}

fn failure(peer: &Peer, code: Code, message: &str, retry: bool) -> PeerFailure {
    PeerFailure { code, detail: error_detail(&peer.address, peer.msp_id, message), retry }
}
