//! Endorse: collects the endorsements that a transaction's policies require. Called by the gateway
//! service.

use std::sync::Arc;

use gx_fabric_proto::common::Envelope;
use gx_fabric_proto::gateway::{EndorseRequest, EndorseResponse, ErrorDetail};
use gx_fabric_proto::protos::Endorsement;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::peers::{PeerFailure, chaincode_failed, process, reachable_peers};
use super::unpack;
use crate::endorser::{Simulated, envelope};
use crate::faults::RawEvent;
use crate::ledger::CollectionUse;
use crate::node::{Node, Peer};
use crate::policy::SignaturePolicy;
use crate::proposal::Unpacked;
use crate::status::{detailed, error_detail, store_failed};

const FIRST_FAILED: &str = "failed to endorse transaction, see attached details for more info";
const TOO_FEW: &str =
    "failed to collect enough transaction endorsements, see attached details for more info";
const NO_COMBINATION: &str =
    "no combination of peers can be derived which satisfy the endorsement policy";

/// Collects endorsements: from the organisations that the caller names, or else from our own peer
/// and from as many others as the policies require. The error is the status of a real gateway.
pub(super) async fn endorse(
    node: &Arc<Node>,
    own: &Arc<Peer>,
    request: EndorseRequest,
) -> Result<EndorseResponse, Status> {
    let signed = request.proposed_transaction.filter(|signed| !signed.proposal_bytes.is_empty());
    let signed = signed.ok_or_else(|| {
        Status::invalid_argument("the proposed transaction must contain a signed proposal")
    })?;
    let proposal = Arc::new(unpack(Some(signed))?);
    let delay = node.faults.endorse_delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut collection = Collection::new(Arc::clone(node), Arc::clone(own), proposal);
    if request.endorsing_organizations.is_empty() {
        collection.by_policy().await?;
    } else {
        collection.by_organizations(&request.endorsing_organizations).await?;
    }
    if let Some(simulated) = &collection.simulated {
        let stored = node.store_private(&collection.proposal, simulated).await;
        stored.map_err(|error| store_failed(&error))?;
    }
    Ok(EndorseResponse { prepared_transaction: Some(collection.into_envelope()) })
}

/// The endorsements of one proposal that were collected so far.
struct Collection {
    node: Arc<Node>,
    own: Arc<Peer>,
    proposal: Arc<Unpacked>,
    /// The first result, which all others must equal.
    simulated: Option<Arc<Simulated>>,
    response: Vec<u8>,
    /// The event of a fault, which replaces the chaincode's.
    event: Option<RawEvent>,
    endorsed: Vec<(Arc<Peer>, Endorsement)>,
    failed: Vec<Arc<Peer>>,
    details: Vec<ErrorDetail>,
}

impl Collection {
    fn new(node: Arc<Node>, own: Arc<Peer>, proposal: Arc<Unpacked>) -> Self {
        Self {
            node,
            own,
            proposal,
            simulated: None,
            response: Vec::new(),
            event: None,
            endorsed: Vec::new(),
            failed: Vec::new(),
            details: Vec::new(),
        }
    }

    /// Collects endorsements from these organisations. The caller is responsible for the choice.
    /// Fails if an organisation has no peer that can be reached, or does not endorse.
    async fn by_organizations(&mut self, organizations: &[String]) -> Result<(), Status> {
        let known = self.is_known();
        let peers = reachable_peers(&self.node, &self.own);
        let find = |org: &String| peers.iter().find(|peer| known && org == peer.msp_id).cloned();
        let missing: Vec<_> = organizations.iter().filter(|org| find(org).is_none()).collect();
        if !missing.is_empty() {
            let missing: Vec<_> = missing.into_iter().map(String::as_str).collect();
            return Err(Status::unavailable(format!(
                "failed to find any endorsing peers for org(s): {}",
                missing.join(", ")
            )));
        }
        let mut chosen = Vec::new();
        for peer in organizations.iter().filter_map(find) {
            if !contains(&chosen, &peer) {
                chosen.push(peer);
            }
        }
        self.collect(&chosen).await;
        self.is_complete(&chosen).then_some(()).ok_or_else(|| self.too_few())
    }

    /// Collects endorsements by the policies, which the result of our own peer determines. Fails if
    /// that peer does not endorse, or if no set of peers that satisfies the policies does.
    async fn by_policy(&mut self) -> Result<(), Status> {
        let Unpacked { chaincode, channel, .. } = self.proposal.as_ref();
        if !self.is_known() {
            return Err(Status::failed_precondition(format!(
                "{NO_COMBINATION}: No metadata was found for chaincode {chaincode} in channel {}",
                channel.channel_id
            )));
        }
        let own = Arc::clone(&self.own);
        self.collect(&[own]).await;
        let Some(simulated) = &self.simulated else {
            return Err(detailed(Code::Aborted, FIRST_FAILED, &self.details));
        };
        let policies = simulated.policies(&self.node.chaincodes);
        let has_transient = self.proposal.has_transient;
        let layouts = self.layouts(&policies, &simulated.guarded(has_transient));
        if layouts.is_empty() {
            let for_reads = simulated.guarded(false);
            let reason = if has_transient && !self.layouts(&policies, &for_reads).is_empty() {
                let protected = simulated.guarded(true);
                let protected = protected.iter().filter(|part| !part.is_read);
                let protected: Vec<_> = protected.map(|part| part.name.as_str()).collect();
                format!(
                    "requires endorsement from organisation(s) that are not in the distribution \
                     policy of the private data collection(s): [{}]; retry specifying trusted \
                     endorsing organizations to protect transient data",
                    protected.join(" ")
                )
            } else {
                format!("{NO_COMBINATION}: no peer combination can satisfy the endorsement policy")
            };
            return Err(Status::failed_precondition(reason));
        }
        for layout in layouts {
            let lost = layout.iter().any(|peer| contains(&self.failed, peer));
            if lost {
                continue;
            }
            self.collect(&layout).await;
            if self.is_complete(&layout) {
                self.endorsed.retain(|(peer, _)| contains(&layout, peer));
                return Ok(());
            }
        }
        Err(self.too_few())
    }

    /// Returns whether the channel and the chaincode exist.
    fn is_known(&self) -> bool {
        self.proposal.channel.channel_id == self.node.channel
            && self.node.chaincodes.get(&self.proposal.chaincode).is_some()
    }

    /// Returns the minimal sets of peers that hold the guarded collections and satisfy the
    /// policies; sets with our own peer come first.
    fn layouts(
        &self,
        policies: &[SignaturePolicy],
        guarded: &[&CollectionUse],
    ) -> Vec<Vec<Arc<Peer>>> {
        let mut peers = reachable_peers(&self.node, &self.own);
        peers.retain(|peer| guarded.iter().all(|part| self.node.holds(peer, part)));
        let mut sets = subsets(&peers);
        sets.sort_by_key(Vec::len);
        let mut layouts: Vec<Vec<Arc<Peer>>> = Vec::new();
        for set in sets {
            let signers: Vec<_> = set.iter().map(|peer| Arc::clone(&peer.identity)).collect();
            let spares = layouts.iter().any(|known| known.iter().all(|peer| contains(&set, peer)));
            if !spares && policies.iter().all(|policy| policy.is_satisfied_by(&signers)) {
                layouts.push(set);
            }
        }
        layouts.sort_by_key(|layout| !contains(layout, &self.own));
        layouts
    }

    /// Asks the peers of this set that were not asked yet. The very first peer is asked alone,
    /// because a result that is the same on every peer need not be computed twice.
    async fn collect(&mut self, peers: &[Arc<Peer>]) {
        let asked = |peer: &&Arc<Peer>| {
            contains(&self.failed, peer) || self.endorsed.iter().any(|(e, _)| Arc::ptr_eq(e, peer))
        };
        let mut open: Vec<_> = peers.iter().filter(|peer| !asked(peer)).cloned().collect();
        if self.simulated.is_none() && !open.is_empty() {
            let first = open.remove(0);
            let result = self.first(&first).await;
            self.take(first, result);
        }
        let mut calls = JoinSet::new();
        for (place, peer) in open.iter().cloned().enumerate() {
            let (node, own) = (Arc::clone(&self.node), Arc::clone(&self.own));
            let proposal = Arc::clone(&self.proposal);
            let alike = self.simulated.clone().filter(|it| it.chaincode.is_alike_everywhere());
            calls
                .spawn(async move { (place, process(&node, &own, &peer, &proposal, alike).await) });
        }
        let mut results = calls.join_all().await;
        results.sort_by_key(|(place, _)| *place);
        for (place, result) in results {
            self.take(Arc::clone(&open[place]), result);
        }
    }

    /// Processes the proposal at the first peer. Endorsement faults apply here, once for each
    /// transaction.
    async fn first(&mut self, peer: &Arc<Peer>) -> Result<Arc<Simulated>, PeerFailure> {
        let simulated = process(&self.node, &self.own, peer, &self.proposal, None).await?;
        let proposal = &self.proposal.signed.proposal_bytes;
        if let Some((status, message)) = self.node.faults.take_endorsement_failure(proposal) {
            return Err(chaincode_failed(peer, status, &message));
        }
        self.event = self.node.faults.take_event();
        Ok(simulated)
    }

    /// Records a peer's result: an endorsement if it equals the first one, and a failure otherwise.
    fn take(&mut self, peer: Arc<Peer>, result: Result<Arc<Simulated>, PeerFailure>) {
        let simulated = match result {
            Ok(simulated) => simulated,
            Err(failure) => return self.fail(peer, failure.detail),
        };
        let response = simulated.response(&self.proposal, self.event.as_ref());
        if self.simulated.is_none() {
            self.simulated = Some(simulated);
            self.response = response;
        } else if self.response != response || self.node.faults.take_mismatch() {
            let message = "ProposalResponsePayloads do not match";
            let detail = error_detail(&peer.address, peer.msp_id, message);
            return self.fail(peer, detail);
        }
        let endorsement = peer.endorse(&self.response);
        self.endorsed.push((peer, endorsement));
    }

    fn fail(&mut self, peer: Arc<Peer>, detail: ErrorDetail) {
        self.details.push(detail);
        self.failed.push(peer);
    }

    /// Returns whether all these peers have endorsed.
    fn is_complete(&self, peers: &[Arc<Peer>]) -> bool {
        let mut endorsers = self.endorsed.iter().map(|(peer, _)| peer);
        peers.iter().all(|peer| endorsers.clone().any(|endorser| Arc::ptr_eq(endorser, peer)))
            && endorsers.next().is_some()
    }

    fn too_few(&self) -> Status {
        detailed(Code::Aborted, TOO_FEW, &self.details)
    }

    fn into_envelope(self) -> Envelope {
        let endorsements = self.endorsed.into_iter().map(|(_, endorsement)| endorsement).collect();
        envelope(&self.proposal, self.response, endorsements)
    }
}

fn contains(peers: &[Arc<Peer>], peer: &Arc<Peer>) -> bool {
    peers.iter().any(|known| Arc::ptr_eq(known, peer))
}

/// Returns all sets of these peers.
fn subsets(peers: &[Arc<Peer>]) -> Vec<Vec<Arc<Peer>>> {
    let mut sets = vec![Vec::new()];
    for peer in peers {
        let with: Vec<Vec<_>> =
            sets.iter().map(|set| [set.as_slice(), &[Arc::clone(peer)]].concat()).collect();
        sets.extend(with);
    }
    sets
}
