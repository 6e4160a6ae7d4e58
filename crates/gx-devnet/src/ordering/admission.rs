//! The orderer's checks of an envelope. Called by a gateway for each Submit, and by the orderer's
//! own service for each envelope of a Broadcast stream.

use std::sync::Arc;

use gx_fabric_proto::common::{Envelope, Status as OrdererStatus};

use crate::channel_policies::Policy;
use crate::ledger::{Opened, Validated};
use crate::node::Node;

/// Limit of an envelope that the orderer accepts (`AbsoluteMaxBytes`).
const MAX_ENVELOPE_BYTES: usize = 10 * 1024 * 1024;

/// Limit of an envelope whose check takes less time than moving it to another thread.
const QUICK_ENVELOPE_BYTES: usize = 64 * 1024;

/// The orderer's refusal: its status and message.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: OrdererStatus,
    pub(crate) info: String,
}

/// Checks an envelope before it is queued. Errors that a peer finds do not refuse it; they become
/// its validation code. A [`Refused`] is the answer to the client.
pub(crate) async fn admit(node: &Arc<Node>, envelope: Envelope) -> Result<Validated, Refused> {
    if envelope.payload.len() <= QUICK_ENVELOPE_BYTES {
        return check(node, envelope);
    }
    let node = Arc::clone(node);
    let checked = tokio::task::spawn_blocking(move || check(&node, envelope)).await;
    checked.unwrap_or_else(|error| {
        Err(Refused { status: OrdererStatus::InternalServerError, info: error.to_string() })
    })
}

/// Checks an envelope. The orderer checks only size, channel and signature.
fn check(node: &Node, envelope: Envelope) -> Result<Validated, Refused> {
    let refused = |status, info| Refused { status, info };
    let bytes = envelope.payload.len() + envelope.signature.len();
    if bytes > MAX_ENVELOPE_BYTES {
        let info = format!(
            "message payload is {bytes} bytes and exceeds maximum allowed {MAX_ENVELOPE_BYTES} bytes"
        );
        return Err(refused(OrdererStatus::BadRequest, info));
    }
    let opened = Opened::from_envelope(envelope).ok_or_else(|| {
        let info = "could not determine the envelope's channel".to_owned();
        refused(OrdererStatus::BadRequest, info)
    })?;
    let Opened { envelope, channel, signature, .. } = &opened;
    if channel.channel_id != node.channel {
        let info = format!("channel {} does not exist", channel.channel_id);
        return Err(refused(OrdererStatus::NotFound, info));
    }
    node.check_signed(Policy::Writers, &signature.creator, &envelope.payload, &envelope.signature)
        .map_err(|_peer_message| {
            let info = format!("{}: permission denied", Policy::Writers.unsatisfied());
            refused(OrdererStatus::Forbidden, info)
        })?;
    Ok(node.validator.validate(opened))
}
