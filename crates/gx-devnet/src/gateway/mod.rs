//! The Gateway service: evaluate, endorse, submit, commit status and chaincode events. Clients call
//! it at each peer; errors are the statuses of a real gateway.

mod endorse;
mod evaluate;
mod events;
mod peers;
mod submit;

use std::pin::Pin;
use std::sync::Arc;

use gx_fabric_proto::gateway::gateway_server::Gateway;
use gx_fabric_proto::gateway::{
    ChaincodeEventsResponse, CommitStatusRequest, CommitStatusResponse, EndorseRequest,
    EndorseResponse, EvaluateRequest, EvaluateResponse, SignedChaincodeEventsRequest,
    SignedCommitStatusRequest, SubmitRequest, SubmitResponse,
};
use gx_fabric_proto::protos::SignedProposal;
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::channel_policies::Policy;
use crate::ledger::Store;
use crate::node::{Node, Peer};
use crate::proposal::Unpacked;
use crate::status::{connection_dropped, store_failed, too_many_gateway_calls, validation_code};

/// Serves the gateway of one peer.
pub(crate) struct GatewayService {
    pub(crate) node: Arc<Node>,
    pub(crate) peer: Arc<Peer>,
}

#[tonic::async_trait]
impl Gateway for GatewayService {
    type ChaincodeEventsStream =
        Pin<Box<dyn Stream<Item = Result<ChaincodeEventsResponse, Status>> + Send>>;

    async fn evaluate(
        &self,
        request: Request<EvaluateRequest>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        let _permit = self.admit()?;
        let answer = evaluate::evaluate(&self.node, &self.peer, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn endorse(
        &self,
        request: Request<EndorseRequest>,
    ) -> Result<Response<EndorseResponse>, Status> {
        let _permit = self.admit()?;
        let endorsed = endorse::endorse(&self.node, &self.peer, request.into_inner()).await?;
        Ok(Response::new(endorsed))
    }

    async fn submit(
        &self,
        request: Request<SubmitRequest>,
    ) -> Result<Response<SubmitResponse>, Status> {
        let _permit = self.admit()?;
        submit::submit(&self.node, request.into_inner()).await?;
        Ok(Response::new(SubmitResponse {}))
    }

    async fn commit_status(
        &self,
        request: Request<SignedCommitStatusRequest>,
    ) -> Result<Response<CommitStatusResponse>, Status> {
        let _permit = self.admit()?;
        let node = &self.node;
        let signed = request.into_inner();
        let asked = commit_status_request(&signed.request)?;
        check_channel(node, &asked.channel_id)?;
        node.check_signed(Policy::Readers, &asked.identity, &signed.request, &signed.signature)
            .map_err(Status::permission_denied)?;
        let committed = wait_for_commit(node, &self.peer, &asked.transaction_id).await?;
        Ok(Response::new(committed))
    }

    async fn chaincode_events(
        &self,
        request: Request<SignedChaincodeEventsRequest>,
    ) -> Result<Response<Self::ChaincodeEventsStream>, Status> {
        let permit = self.admit()?;
        let stream = events::open(&self.node, &self.peer, &request.into_inner(), permit)?;
        Ok(Response::new(Box::pin(stream)))
    }
}

impl GatewayService {
    /// Returns a permit of the limited number of concurrent calls, or the status of a gateway that
    /// is unavailable or above the limit.
    fn admit(&self) -> Result<OwnedSemaphorePermit, Status> {
        if self.peer.faults.is_unavailable() {
            return Err(connection_dropped());
        }
        if self.peer.faults.refuses_requests() {
            return Err(too_many_gateway_calls());
        }
        let calls = Arc::clone(&self.peer.gateway_calls);
        calls.try_acquire_owned().map_err(|_| too_many_gateway_calls())
    }
}

fn unpack(proposal: Option<SignedProposal>) -> Result<Unpacked, Status> {
    Unpacked::from_signed(proposal).map_err(|reason| {
        Status::invalid_argument(format!("failed to unpack transaction proposal: {reason}"))
    })
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

/// Refuses another channel than the one of this ledger.
fn check_channel(node: &Node, channel: &str) -> Result<(), Status> {
    if channel == node.channel {
        return Ok(());
    }
    Err(Status::permission_denied(format!("Failed to get policy manager for channel [{channel}]")))
}

/// Waits until the transaction is in a block. Only the caller's deadline limits the wait. The error
/// means that the ledger stops, a fault drops the connection, or the store has failed.
async fn wait_for_commit(
    node: &Node,
    own: &Peer,
    tx_id: &str,
) -> Result<CommitStatusResponse, Status> {
    let mut height = node.height.clone();
    let mut ended = own.faults.streams_ended();
    loop {
        // The height is marked as seen before the look-up, so a block that is published afterwards
        // wakes this task. A block that is committed but not published is not reported, because
        // Deliver would not have it.
        let published = *height.borrow_and_update();
        let found = look_up(&node.store, tx_id)?;
        if let Some(found) = found.filter(|found| found.block_number < published) {
            return Ok(found);
        }
        tokio::select! {
            changed = height.changed() => changed.map_err(|_| connection_dropped())?,
            () = node.stopping.cancelled() => return Err(connection_dropped()),
            Ok(()) = ended.changed() => {
                if own.faults.is_unavailable() {
                    return Err(connection_dropped());
                }
            }
        }
    }
}

/// Returns the status of a transaction, or `None` if it is in no block.
fn look_up(store: &Store, tx_id: &str) -> Result<Option<CommitStatusResponse>, Status> {
    let found = store.transaction(tx_id).map_err(|e| store_failed(&e))?;
    Ok(found.map(|found| CommitStatusResponse {
        result: validation_code(found.code).into(),
        block_number: found.block,
    }))
}
