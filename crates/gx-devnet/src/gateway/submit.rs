//! Submit: the orderer's checks of an envelope, and the queue.

use std::sync::Arc;

use gx_fabric_proto::common::{ChannelHeader, Envelope, Payload, SignatureHeader};
use gx_fabric_proto::gateway::SubmitRequest;
use prost::Message;
use tonic::{Code, Status};

use crate::access::Policy;
use crate::faults::SubmitFault;
use crate::ledger::OrdererGone;
use crate::msp::ORDERER_MSP_ID;
use crate::node::Node;
use crate::status::{connection_dropped, detailed};

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
    if node.faults.is_orderer_down() {
        let said = "rpc error: code = Unavailable desc = connection error: desc = \"transport: \
                    Error while dialing: connect: connection refused\"";
        let code = Code::Unavailable;
        return Err(detailed(code, NO_ORDERER, &node.address, ORDERER_MSP_ID, said));
    }
    check(node, &envelope).map_err(|(status, info)| {
        Status::aborted(format!(
            "received unsuccessful response from orderer: status={status}, info={info}"
        ))
    })?;
    let fault = node.faults.take_submit_fault();
    if fault == Some(SubmitFault::Discarded) {
        return Ok(());
    }
    let judging = Arc::clone(node);
    let judged = tokio::task::spawn_blocking(move || judging.judge.judge(&envelope))
        .await
        .map_err(|error| Status::internal(error.to_string()))?;
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
/// status and its words.
fn check(node: &Node, envelope: &Envelope) -> Result<(), (&'static str, String)> {
    let bad = |info: String| ("BAD_REQUEST", info);
    let bytes = envelope.payload.len() + envelope.signature.len();
    if bytes > MAX_ENVELOPE_BYTES {
        return Err(bad(format!(
            "message payload is {bytes} bytes and exceeds maximum allowed {MAX_ENVELOPE_BYTES} bytes"
        )));
    }
    let headers = Payload::decode(envelope.payload.as_slice()).ok().and_then(|payload| {
        let header = payload.header?;
        let channel = ChannelHeader::decode(header.channel_header.as_slice()).ok()?;
        let signature = SignatureHeader::decode(header.signature_header.as_slice()).ok()?;
        Some((channel, signature))
    });
    let (channel, signature) =
        headers.ok_or_else(|| bad("could not determine the envelope's channel".to_owned()))?;
    if channel.channel_id != node.channel {
        return Err(("NOT_FOUND", format!("channel {} does not exist", channel.channel_id)));
    }
    node.check_signed(Policy::Writers, &signature.creator, &envelope.payload, &envelope.signature)
        .map_err(|_| ("FORBIDDEN", format!("{}: permission denied", Policy::Writers.unsatisfied())))
}
