//! A caller's stream of blocks from a peer or the orderer, which serves one seek after another. The
//! two Deliver services start one session for each call.

use std::sync::Arc;

use gx_fabric_proto::common::{Block, Envelope, HeaderType, Status as DeliverStatus};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::{BlockFeed, Ended, Seek};
use crate::faults::NodeFaults;
use crate::ledger::{StoreError, transactions};
use crate::node::Node;
use crate::status::store_failed;

/// Converts blocks and final statuses to the messages of a service.
pub(crate) trait DeliverMessages: Sync {
    /// A message of the stream.
    type Message: Send;

    /// Returns the message for a block. An error ends the stream.
    fn block(&self, seek: &Seek, block: Block) -> Result<Self::Message, StoreError>;

    /// Returns the message that ends a seek.
    fn status(&self, status: DeliverStatus) -> Self::Message;
}

/// A caller and the service that answers it.
pub(crate) struct Session<M: DeliverMessages> {
    pub(crate) node: Arc<Node>,
    pub(crate) faults: NodeFaults,
    pub(crate) messages: M,
    pub(crate) caller: mpsc::Sender<Result<M::Message, Status>>,
}

/// The caller has disconnected, or the stream must end.
struct StreamClosed;

impl<M: DeliverMessages> Session<M> {
    /// Serves requests until the caller disconnects, the node stops, or a seek fails.
    pub(crate) async fn serve(&self, mut requests: Streaming<Envelope>) {
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                () = self.node.stopping.cancelled() => return,
                () = self.caller.closed() => return,
            };
            let Ok(Some(envelope)) = request else { return };
            let Ok(status) = self.answer(&envelope).await else { return };
            let sent = self.send(self.messages.status(status)).await;
            if sent.is_err() || status != DeliverStatus::Success {
                return;
            }
        }
    }

    /// Sends the blocks of one seek and returns the status that ends it. The error ends the stream.
    async fn answer(&self, envelope: &Envelope) -> Result<DeliverStatus, StreamClosed> {
        let seek = match Seek::from_envelope(&self.node, envelope) {
            Ok(seek) => seek,
            Err(status) => return Ok(status),
        };
        let mut feed = BlockFeed::new(Arc::clone(&self.node), &self.faults, seek.start);
        if !seek.waits_for(*self.node.height.borrow()) {
            feed.never_mute();
        }
        loop {
            if seek.fail_if_not_ready && feed.position() >= *self.node.height.borrow() {
                return Ok(DeliverStatus::NotFound);
            }
            let next = tokio::select! {
                next = feed.next() => next,
                () = self.caller.closed() => return Err(StreamClosed),
            };
            match next {
                Ok(mut block) => {
                    let number = feed.position() - 1;
                    if seek.headers_only && !is_config(&block) {
                        block.data = None;
                    }
                    match self.messages.block(&seek, block) {
                        Ok(message) => self.send(message).await?,
                        Err(error) => return self.fail(store_failed(&error)).await,
                    }
                    if number == seek.stop {
                        return Ok(DeliverStatus::Success);
                    }
                }
                Err(Ended::Cleanly) => return Err(StreamClosed),
                Err(Ended::By(status)) => return self.fail(status).await,
            }
        }
    }

    async fn send(&self, message: M::Message) -> Result<(), StreamClosed> {
        self.caller.send(Ok(message)).await.map_err(|_| StreamClosed)
    }

    /// Ends the stream with an error.
    async fn fail<T>(&self, status: Status) -> Result<T, StreamClosed> {
        let _gone = self.caller.send(Err(status)).await;
        Err(StreamClosed)
    }
}

fn is_config(block: &Block) -> bool {
    let first = transactions(block).into_iter().next();
    first.is_some_and(|transaction| transaction.kind == i32::from(HeaderType::Config))
}
