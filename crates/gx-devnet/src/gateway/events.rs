//! ChaincodeEvents: streams the events of valid transactions, block by block. Called by the gateway
//! service.

use std::sync::Arc;

use gx_fabric_proto::common::Block;
use gx_fabric_proto::gateway::{
    ChaincodeEventsRequest, ChaincodeEventsResponse, SignedChaincodeEventsRequest,
};
use gx_fabric_proto::orderer::{SeekPosition, seek_position};
use gx_fabric_proto::protos::{ChaincodeEvent, TxValidationCode};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::check_channel;
use crate::channel_policies::Policy;
use crate::deliver::{BlockFeed, Ended};
use crate::ledger::transactions;
use crate::node::{Node, Peer};
use crate::status::{store_failed, validation_code};

/// Limit of answers that wait for a slow reader.
const BUFFERED_ANSWERS: usize = 16;

/// Starts a stream. It ends with the caller, with the ledger, or by a fault. Refuses a malformed
/// request and a caller who may not read.
pub(super) fn open(
    node: &Arc<Node>,
    own: &Peer,
    signed: &SignedChaincodeEventsRequest,
    permit: OwnedSemaphorePermit,
) -> Result<ReceiverStream<Result<ChaincodeEventsResponse, Status>>, Status> {
    if signed.request.is_empty() {
        return Err(Status::invalid_argument("a chaincode events request is required"));
    }
    let request = ChaincodeEventsRequest::decode(signed.request.as_slice()).map_err(|error| {
        Status::invalid_argument(format!("invalid chaincode events request: {error}"))
    })?;
    check_channel(node, &request.channel_id)?;
    node.check_signed(Policy::Readers, &request.identity, &signed.request, &signed.signature)
        .map_err(Status::permission_denied)?;
    let start = start_block(node, &request)?;
    let feed = BlockFeed::new(Arc::clone(node), &own.faults, start);
    let (answers, stream) = mpsc::channel(BUFFERED_ANSWERS);
    tokio::spawn(async move {
        send_events(feed, Matcher::from(request), answers).await;
        drop(permit);
    });
    Ok(ReceiverStream::new(stream))
}

/// Sends events until the feed ends or the caller has gone.
async fn send_events(
    mut feed: BlockFeed,
    mut matcher: Matcher,
    answers: mpsc::Sender<Result<ChaincodeEventsResponse, Status>>,
) {
    loop {
        let next = tokio::select! {
            next = feed.next() => next,
            () = answers.closed() => return,
        };
        let answer = match next {
            Ok(block) => match matcher.answer(&block) {
                Some(answer) => Ok(answer),
                None => continue,
            },
            Err(Ended::Cleanly) => return,
            Err(Ended::By(status)) => Err(status),
        };
        let last = answer.is_err();
        if answers.send(answer).await.is_err() || last {
            return;
        }
    }
}

/// Returns the block with which the stream begins.
fn start_block(node: &Node, request: &ChaincodeEventsRequest) -> Result<u64, Status> {
    let after = &request.after_transaction_id;
    if !after.is_empty() {
        let found = node.store.transaction(after).map_err(|e| store_failed(&e))?;
        if let Some(found) = found {
            return Ok(found.block);
        }
    }
    match request.start_position {
        None | Some(SeekPosition { r#type: None | Some(seek_position::Type::NextCommit(_)) }) => {
            Ok(*node.height.borrow())
        }
        Some(SeekPosition { r#type: Some(seek_position::Type::Specified(at)) }) => Ok(at.number),
        Some(_) => Err(Status::invalid_argument("invalid start position type")),
    }
}

/// Selects the events for the caller. After an unknown transaction or one without an event, no
/// event is ever sent, as on a real peer.
struct Matcher {
    chaincode: String,
    after: Option<String>,
}

impl From<ChaincodeEventsRequest> for Matcher {
    fn from(request: ChaincodeEventsRequest) -> Self {
        let after = Some(request.after_transaction_id).filter(|id| !id.is_empty());
        Self { chaincode: request.chaincode_id, after }
    }
}

impl Matcher {
    /// Returns the events of a block for the caller, or `None` if there are none.
    fn answer(&mut self, block: &Block) -> Option<ChaincodeEventsResponse> {
        let valid = transactions(block)
            .into_iter()
            .filter(|transaction| validation_code(transaction.code) == TxValidationCode::Valid);
        let events: Vec<_> =
            valid.filter_map(|transaction| transaction.event).filter(|e| self.admits(e)).collect();
        let block_number = block.header.as_ref()?.number;
        (!events.is_empty()).then_some(ChaincodeEventsResponse { events, block_number })
    }

    /// Returns whether the event is sent: it is after the named transaction and of the chaincode.
    fn admits(&mut self, event: &ChaincodeEvent) -> bool {
        if let Some(after) = &self.after {
            if event.tx_id == *after {
                self.after = None;
            }
            return false;
        }
        event.chaincode_id == self.chaincode
    }
}
