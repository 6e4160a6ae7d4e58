//! The Gateway service: what clients evaluate, endorse, submit and ask.

mod events;
mod submit;

use std::pin::Pin;
use std::sync::Arc;

use gx_fabric_proto::gateway::gateway_server::Gateway;
use gx_fabric_proto::gateway::{
    ChaincodeEventsResponse, CommitStatusRequest, CommitStatusResponse, EndorseRequest,
    EndorseResponse, EvaluateRequest, EvaluateResponse, SignedChaincodeEventsRequest,
    SignedCommitStatusRequest, SubmitRequest, SubmitResponse,
};
use gx_fabric_proto::protos::{Response as ChaincodeResponse, SignedProposal};
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status};

use crate::access::Policy;
use crate::endorser::Refusal;
use crate::ledger::Store;
use crate::node::Node;
use crate::proposal::Unpacked;
use crate::status::{
    connection_dropped, store_failed, too_many_gateway_calls, validation_code, with_detail,
};

/// Serves the gateway of one peer.
pub(crate) struct GatewayService(pub(crate) Arc<Node>);

#[tonic::async_trait]
impl Gateway for GatewayService {
    type ChaincodeEventsStream =
        Pin<Box<dyn Stream<Item = Result<ChaincodeEventsResponse, Status>> + Send>>;

    async fn evaluate(
        &self,
        request: Request<EvaluateRequest>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        let _permit = self.admit()?;
        let node = &self.0;
        let proposal = unpack(request.into_inner().proposed_transaction)?;
        if proposal.channel.channel_id != node.channel {
            let channel = &proposal.channel.channel_id;
            return Err(Status::unavailable(format!(
                "failed to get config for channel [{channel}]: could not get last config for \
                 channel {channel}"
            )));
        }
        if node.chaincodes.get(&proposal.chaincode).is_none() {
            return Err(Status::failed_precondition(format!(
                "no peers available to evaluate chaincode {} in channel {}",
                proposal.chaincode, node.channel
            )));
        }
        let simulated = node.simulate(&Arc::new(proposal)).await;
        let answer = simulated.map_err(|refusal| evaluate_refused(node, &refusal))?.answer;
        let result = ChaincodeResponse {
            status: answer.status,
            message: answer.message,
            payload: answer.payload,
        };
        Ok(Response::new(EvaluateResponse { result: Some(result) }))
    }

    async fn endorse(
        &self,
        request: Request<EndorseRequest>,
    ) -> Result<Response<EndorseResponse>, Status> {
        let _permit = self.admit()?;
        let node = &self.0;
        let request = request.into_inner();
        let proposal = unpack(request.proposed_transaction)?;
        let organizations = request.endorsing_organizations;
        let strangers: Vec<_> =
            organizations.into_iter().filter(|org| org != crate::msp::PEER_MSP_ID).collect();
        if !strangers.is_empty() {
            let strangers = strangers.join(", ");
            return Err(Status::unavailable(format!(
                "failed to find any endorsing peers for org(s): {strangers}"
            )));
        }
        let channel = &proposal.channel.channel_id;
        if *channel != node.channel || node.chaincodes.get(&proposal.chaincode).is_none() {
            return Err(Status::failed_precondition(format!(
                "no combination of peers can be derived which satisfy the endorsement policy: \
                 No metadata was found for chaincode {} in channel {channel}",
                proposal.chaincode
            )));
        }
        let envelope = node.endorse(Arc::new(proposal)).await;
        let envelope = envelope.map_err(|refusal| endorse_refused(node, &refusal))?;
        Ok(Response::new(EndorseResponse { prepared_transaction: Some(envelope) }))
    }

    async fn submit(
        &self,
        request: Request<SubmitRequest>,
    ) -> Result<Response<SubmitResponse>, Status> {
        let _permit = self.admit()?;
        submit::submit(&self.0, request.into_inner()).await?;
        Ok(Response::new(SubmitResponse {}))
    }

    async fn commit_status(
        &self,
        request: Request<SignedCommitStatusRequest>,
    ) -> Result<Response<CommitStatusResponse>, Status> {
        let _permit = self.admit()?;
        let node = &self.0;
        let signed = request.into_inner();
        let asked = commit_status_request(&signed.request)?;
        check_channel(node, &asked.channel_id)?;
        node.check_signed(Policy::Readers, &asked.identity, &signed.request, &signed.signature)
            .map_err(Status::permission_denied)?;
        let committed = wait_for_commit(node, &asked.transaction_id).await?;
        Ok(Response::new(committed))
    }

    async fn chaincode_events(
        &self,
        request: Request<SignedChaincodeEventsRequest>,
    ) -> Result<Response<Self::ChaincodeEventsStream>, Status> {
        let permit = self.admit()?;
        let stream = events::open(&self.0, &request.into_inner(), permit)?;
        Ok(Response::new(Box::pin(stream)))
    }
}

impl GatewayService {
    /// One of the calls that may run at once.
    fn admit(&self) -> Result<OwnedSemaphorePermit, Status> {
        if self.0.faults.is_unavailable() {
            return Err(connection_dropped());
        }
        if self.0.faults.refuses_requests() {
            return Err(too_many_gateway_calls());
        }
        let calls = Arc::clone(&self.0.gateway_calls);
        calls.try_acquire_owned().map_err(|_| too_many_gateway_calls())
    }
}

fn unpack(proposal: Option<SignedProposal>) -> Result<Unpacked, Status> {
    Unpacked::from_signed(proposal).map_err(|reason| {
        Status::invalid_argument(format!("failed to unpack transaction proposal: {reason}"))
    })
}

fn evaluate_refused(node: &Node, refusal: &Refusal) -> Status {
    let retried = "failed to evaluate transaction, see attached details for more info";
    let (code, said, final_answer) = match refusal {
        Refusal::Filtered(said) => (Code::Unavailable, said, false),
        Refusal::Peer(said) => (Code::Aborted, said, false),
        Refusal::Proposal(said) => (Code::FailedPrecondition, said, true),
        Refusal::Chaincode(said) => (Code::Unknown, said, true),
    };
    if final_answer {
        let message = format!("evaluate call to endorser returned error: {said}");
        with_detail(node, code, &message, said)
    } else {
        with_detail(node, code, retried, said)
    }
}

fn endorse_refused(node: &Node, refusal: &Refusal) -> Status {
    let (Refusal::Filtered(said)
    | Refusal::Proposal(said)
    | Refusal::Peer(said)
    | Refusal::Chaincode(said)) = refusal;
    let message = "failed to endorse transaction, see attached details for more info";
    with_detail(node, Code::Aborted, message, said)
}

fn commit_status_request(bytes: &[u8]) -> Result<CommitStatusRequest, Status> {
    if bytes.is_empty() {
        return Err(Status::invalid_argument("a commit status request is required"));
    }
    let request = CommitStatusRequest::decode(bytes)
        .map_err(|error| Status::invalid_argument(format!("invalid status request: {error}")))?;
    if request.identity.is_empty() {
        return Err(Status::invalid_argument("no identity provided"));
    }
    if request.channel_id.is_empty() {
        return Err(Status::invalid_argument("no channel ID provided"));
    }
    if request.transaction_id.is_empty() {
        return Err(Status::invalid_argument("transaction ID should not be empty"));
    }
    Ok(request)
}

fn check_channel(node: &Node, channel: &str) -> Result<(), Status> {
    if channel == node.channel {
        return Ok(());
    }
    Err(Status::permission_denied(format!("Failed to get policy manager for channel [{channel}]")))
}

/// Answers when the transaction stands in a block; the caller's deadline is the only limit.
async fn wait_for_commit(node: &Node, tx_id: &str) -> Result<CommitStatusResponse, Status> {
    let mut height = node.height.clone();
    let mut ended = node.faults.streams_ended();
    loop {
        // Seen before the look: a block that is published after it wakes us. A block that is
        // committed but not published yet is not told, for Deliver would not have it.
        let published = *height.borrow_and_update();
        let found = look_up(&node.store, tx_id)?;
        if let Some(found) = found.filter(|found| found.block_number < published) {
            return Ok(found);
        }
        tokio::select! {
            changed = height.changed() => changed.map_err(|_| connection_dropped())?,
            () = node.stopping.cancelled() => return Err(connection_dropped()),
            Ok(()) = ended.changed() => {
                if node.faults.is_unavailable() {
                    return Err(connection_dropped());
                }
            }
        }
    }
}

fn look_up(store: &Store, tx_id: &str) -> Result<Option<CommitStatusResponse>, Status> {
    let found = store.transaction(tx_id).map_err(|e| store_failed(&e))?;
    Ok(found.map(|found| CommitStatusResponse {
        result: validation_code(found.code).into(),
        block_number: found.block,
    }))
}
