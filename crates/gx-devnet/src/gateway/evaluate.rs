//! Evaluate: returns the answer of one peer, if possible of the peer that is asked. Called by the
//! gateway service.

use std::sync::Arc;

use gx_fabric_proto::gateway::{EvaluateRequest, EvaluateResponse};
use gx_fabric_proto::protos::Response as ChaincodeResponse;
use tonic::Status;

use super::peers::{process, reachable_peers};
use super::unpack;
use crate::chaincode::is_system;
use crate::node::{Node, Peer};
use crate::status::detailed;

/// Asks this peer and then the others until one answers, or fails in a way that no other peer can
/// cure. Only peers of the target organisations are asked; with transient data and without
/// targets, only those of this peer's organisation. The error is the status of a real gateway.
pub(super) async fn evaluate(
    node: &Arc<Node>,
    own: &Arc<Peer>,
    request: EvaluateRequest,
) -> Result<EvaluateResponse, Status> {
    let proposal = Arc::new(unpack(request.proposed_transaction)?);
    let channel = &proposal.channel.channel_id;
    if *channel != node.channel {
        return Err(Status::unavailable(format!(
            "failed to get config for channel [{channel}]: could not get last config for channel \
             {channel}"
        )));
    }
    let mut targets = request.target_organizations;
    let protects_transient = proposal.has_transient && targets.is_empty();
    if protects_transient {
        targets.push(own.msp_id.to_owned());
    }
    let mut peers = reachable_peers(node, own);
    peers.retain(|peer| targets.is_empty() || targets.iter().any(|org| org == peer.msp_id));
    let name = &proposal.chaincode;
    let is_there = node.chaincodes.get(name).is_some() || is_system(name);
    if peers.is_empty() || !is_there {
        return Err(Status::failed_precondition(format!(
            "no peers available to evaluate chaincode {name} in channel {channel}"
        )));
    }
    let (mut details, mut code) = (Vec::new(), tonic::Code::Unavailable);
    for peer in &peers {
        let failure = match process(node, own, peer, &proposal, None).await {
            Ok(simulated) => {
                let answer = &simulated.answer;
                let result = ChaincodeResponse {
                    status: answer.status,
                    message: answer.message.clone(),
                    payload: answer.payload.clone(),
                };
                return Ok(EvaluateResponse { result: Some(result) });
            }
            Err(failure) => failure,
        };
        code = failure.code;
        let reason = failure.detail.message.clone();
        details.push(failure.detail);
        if !failure.retry {
            let message = format!("evaluate call to endorser returned error: {reason}");
            return Err(detailed(code, &message, &details));
        }
    }
    let message = "failed to evaluate transaction, see attached details for more info";
    Err(detailed(code, message, &details))
}
