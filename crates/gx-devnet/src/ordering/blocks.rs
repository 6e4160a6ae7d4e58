//! The orderer's Deliver: blocks as they are before a peer has judged them.

use std::sync::Arc;

use gx_fabric_proto::common::{BlockMetadataIndex, Envelope, Status as DeliverStatus};
use gx_fabric_proto::orderer::DeliverResponse;
use gx_fabric_proto::orderer::deliver_response::Type as Answer;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::deliver::{BlockFeed, Ended, Seek};
use crate::faults::NodeFaults;
use crate::ledger::clear_metadata;
use crate::node::Node;

/// One caller's stream: a seek after the other.
pub(super) struct Session {
    pub(super) node: Arc<Node>,
    pub(super) faults: NodeFaults,
    pub(super) answers: mpsc::Sender<Result<DeliverResponse, Status>>,
}

/// The caller does not listen any more, or must not be answered any more.
struct Gone;

impl Session {
    pub(super) async fn serve(&self, mut requests: Streaming<Envelope>) {
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                () = self.node.stopping.cancelled() => return,
                () = self.answers.closed() => return,
            };
            let Ok(Some(envelope)) = request else { return };
            let Ok(status) = self.answer(&envelope).await else { return };
            let sent = self.send(Answer::Status(status.into())).await;
            if sent.is_err() || status != DeliverStatus::Success {
                return;
            }
        }
    }

    /// Sends the blocks of one seek. The status ends it.
    async fn answer(&self, envelope: &Envelope) -> Result<DeliverStatus, Gone> {
        let seek = match Seek::from_envelope(&self.node, envelope) {
            Ok(seek) => seek,
            Err(status) => return Ok(status),
        };
        let mut feed = BlockFeed::new(Arc::clone(&self.node), &self.faults, seek.start);
        loop {
            if seek.fail_if_not_ready && feed.position() >= *self.node.height.borrow() {
                return Ok(DeliverStatus::NotFound);
            }
            let next = tokio::select! {
                next = feed.next() => next,
                () = self.answers.closed() => return Err(Gone),
            };
            match next {
                Ok(mut block) => {
                    clear_metadata(&mut block, BlockMetadataIndex::TransactionsFilter);
                    clear_metadata(&mut block, BlockMetadataIndex::CommitHash);
                    self.send(Answer::Block(block)).await?;
                    if feed.position() > seek.stop {
                        return Ok(DeliverStatus::Success);
                    }
                }
                Err(Ended::Cleanly) => return Err(Gone),
                Err(Ended::By(status)) => {
                    let _gone = self.answers.send(Err(status)).await;
                    return Err(Gone);
                }
            }
        }
    }

    async fn send(&self, answer: Answer) -> Result<(), Gone> {
        let response = DeliverResponse { r#type: Some(answer) };
        self.answers.send(Ok(response)).await.map_err(|_| Gone)
    }
}
