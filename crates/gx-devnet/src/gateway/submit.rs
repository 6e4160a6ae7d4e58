//! Submit: passes an envelope to the orderer. Called by the gateway service.

use std::sync::Arc;
use std::time::Duration;

use gx_fabric_proto::gateway::SubmitRequest;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::faults::{SubmitFault, Unreachable};
use crate::ledger::OrdererGone;
use crate::msp::ORDERER_MSP_ID;
use crate::node::Node;
use crate::ordering::{Refused, admit};
use crate::status::{
    DEADLINE_EXCEEDED, connection_dropped, connection_refused, detailed, error_detail,
};

/// Time limit of the orderer (`peer.gateway.broadcastTimeout`).
const BROADCAST_TIMEOUT: Duration = Duration::from_secs(30);

const NO_ORDERER: &str = "no orderers could successfully process transaction";

/// Acknowledges the envelope after it is queued. The acknowledgement does not mean that it commits.
/// After an error the envelope is not queued, unless a fault withholds or drops the
/// acknowledgement.
pub(super) async fn submit(node: &Arc<Node>, request: SubmitRequest) -> Result<(), Status> {
    let envelope = request
        .prepared_transaction
        .ok_or_else(|| Status::invalid_argument("a prepared transaction is required"))?;
    if envelope.signature.is_empty() {
        return Err(Status::invalid_argument("prepared transaction must be signed"));
    }
    if request.channel_id != node.channel {
        let channel = request.channel_id;
        return Err(Status::failed_precondition(format!(
            "no orderers known for channel {channel}"
        )));
    }
    let faults = node.faults.orderer();
    let unreached = match timeout(BROADCAST_TIMEOUT, faults.reached()).await {
        Ok(Ok(())) => None,
        Ok(Err(Unreachable)) => Some(connection_refused(&node.orderer_address)),
        Err(_elapsed) => Some(DEADLINE_EXCEEDED.to_owned()),
    };
    if let Some(message) = unreached {
        let detail = error_detail(&node.orderer_address, ORDERER_MSP_ID, &message);
        return Err(detailed(Code::Unavailable, NO_ORDERER, &[detail]));
    }
    let validated = admit(node, envelope).await.map_err(|Refused { status, info }| {
        let status = status.as_str_name();
        Status::aborted(format!(
            "received unsuccessful response from orderer: status={status}, info={info}"
        ))
    })?;
    let fault = node.faults.take_submit_fault();
    if fault == Some(SubmitFault::Discarded) {
        return Ok(());
    }
    let queued = node.orderer.submit(validated).await;
    queued.map_err(|OrdererGone| Status::unavailable(NO_ORDERER))?;
    match fault {
        Some(SubmitFault::ReplyLost) => Err(connection_dropped()),
        Some(SubmitFault::ReplyWithheld) => {
            node.stopping.cancelled().await;
            Err(connection_dropped())
        }
        Some(SubmitFault::Discarded) | None => Ok(()),
    }
}
