//! Submit: the orderer's checks of an envelope, and the queue.

use std::sync::Arc;

use gx_fabric_proto::common::Envelope;
use gx_fabric_proto::gateway::SubmitRequest;
use tonic::{Code, Status};

use crate::access::Policy;
use crate::faults::{SubmitFault, Unreachable};
use crate::ledger::{Judged, Opened, OrdererGone};
use crate::msp::ORDERER_MSP_ID;
use crate::node::Node;
use crate::status::{connection_dropped, connection_refused, detailed, error_detail};

/// The largest envelope that the orderer takes (`AbsoluteMaxBytes`).
const MAX_ENVELOPE_BYTES: usize = 10 * 1024 * 1024;

const NO_ORDERER: &str = "no orderers could successfully process transaction";

/// Acknowledges the envelope once it is queued. That is no promise of a commit.
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
    if node.faults.orderer().reached().await == Err(Unreachable) {
        let said = connection_refused(&node.orderer_address);
        let detail = error_detail(&node.orderer_address, ORDERER_MSP_ID, &said);
        return Err(detailed(Code::Unavailable, NO_ORDERER, &[detail]));
    }
    let orderer = Arc::clone(node);
    let checked = tokio::task::spawn_blocking(move || check(&orderer, envelope));
    let judged = checked.await.map_err(|error| Status::internal(error.to_string()))?;
    let judged = judged.map_err(|(status, info)| {
        Status::aborted(format!(
            "received unsuccessful response from orderer: status={status}, info={info}"
        ))
    })?;
    let fault = node.faults.take_submit_fault();
    if fault == Some(SubmitFault::Discarded) {
        return Ok(());
    }
    let queued = node.orderer.submit(judged).await;
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

/// The orderer looks at size, channel and signature, and at nothing else. The error is its
/// status and its words. What a peer finds wrong becomes the verdict.
fn check(node: &Node, envelope: Envelope) -> Result<Judged, (&'static str, String)> {
    let bad = |info: String| ("BAD_REQUEST", info);
    let bytes = envelope.payload.len() + envelope.signature.len();
    if bytes > MAX_ENVELOPE_BYTES {
        return Err(bad(format!(
            "message payload is {bytes} bytes and exceeds maximum allowed {MAX_ENVELOPE_BYTES} bytes"
        )));
    }
    let opened = Opened::from_envelope(envelope)
        .ok_or_else(|| bad("could not determine the envelope's channel".to_owned()))?;
    let Opened { envelope, channel, signature, .. } = &opened;
    if channel.channel_id != node.channel {
        return Err(("NOT_FOUND", format!("channel {} does not exist", channel.channel_id)));
    }
    node.check_signed(Policy::Writers, &signature.creator, &envelope.payload, &envelope.signature)
        .map_err(|_| {
            ("FORBIDDEN", format!("{}: permission denied", Policy::Writers.unsatisfied()))
        })?;
    Ok(node.judge.judge(opened))
}
