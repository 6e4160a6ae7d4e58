//! How one peer's gateway has proposals processed: by its own peer and by the others.

use std::sync::Arc;
use std::time::Duration;

use gx_fabric_proto::gateway::ErrorDetail;
use tonic::Code;

use crate::endorser::{Refusal, Simulated};
use crate::faults::Unreachable;
use crate::node::{Node, Peer};
use crate::proposal::Unpacked;
use crate::status::{DEADLINE_EXCEEDED, connection_refused, error_detail};

/// How long another peer may take (`peer.gateway.endorsementTimeout`).
const ENDORSEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a peer did not process a proposal, as its caller's gateway sees it.
pub(super) struct Failure {
    /// The code of the call that ends with this failure.
    pub(super) code: Code,
    pub(super) detail: ErrorDetail,
    /// Whether another peer may do better.
    pub(super) retry: bool,
}

/// The peers that this one knows to be there, itself first.
pub(super) fn counted_on(node: &Node, own: &Arc<Peer>) -> Vec<Arc<Peer>> {
    let others = node.peers.iter().filter(|peer| !Arc::ptr_eq(peer, own));
    let others = others.filter(|peer| peer.faults.is_counted_on());
    std::iter::once(own).chain(others).cloned().collect()
}

/// Has a proposal simulated by a peer. A result that is `alike` on every peer is taken over
/// instead of being worked out once more.
pub(super) async fn process(
    node: &Arc<Node>,
    own: &Arc<Peer>,
    peer: &Arc<Peer>,
    proposal: &Arc<Unpacked>,
    alike: Option<Arc<Simulated>>,
) -> Result<Arc<Simulated>, Failure> {
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

/// The chaincode answered the peer with an error.
pub(super) fn chaincode_failed(peer: &Peer, status: i32, message: &str) -> Failure {
    at_home(peer, &Refusal::chaincode(status, message))
}

fn at_home(peer: &Peer, refusal: &Refusal) -> Failure {
    let (code, retry) = match refusal {
        Refusal::Filtered(_) => (Code::Unavailable, true),
        Refusal::Peer(_) => (Code::Aborted, true),
        Refusal::Proposal(_) => (Code::FailedPrecondition, false),
        Refusal::Chaincode(_) => (Code::Unknown, false),
    };
    failure(peer, code, refusal.said(), retry)
}

/// What a peer refuses without an answer of its endorser comes over the wire as an error
/// without a code.
fn elsewhere(peer: &Peer, refusal: &Refusal) -> Failure {
    match refusal {
        Refusal::Filtered(said) | Refusal::Proposal(said) => {
            unreached(peer, &format!("rpc error: code = Unknown desc = {said}"))
        }
        Refusal::Peer(_) | Refusal::Chaincode(_) => at_home(peer, refusal),
    }
}

fn unreached(peer: &Peer, said: &str) -> Failure {
    failure(peer, Code::Unavailable, said, true)
}

fn failure(peer: &Peer, code: Code, said: &str, retry: bool) -> Failure {
    Failure { code, detail: error_detail(&peer.address, peer.msp_id, said), retry }
}
