//! The orderer as a separate node: the `AtomicBroadcast` service, for clients without a gateway.

mod admission;
mod blocks;

use std::pin::Pin;
use std::sync::Arc;

use gx_fabric_proto::common::{Envelope, Status as OrdererStatus};
use gx_fabric_proto::orderer::atomic_broadcast_server::AtomicBroadcast;
use gx_fabric_proto::orderer::{BroadcastResponse, DeliverResponse};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use admission::{Refused, admit};

use crate::deliver::Session;
use crate::faults::NodeFaults;
use crate::ledger::OrdererGone;
use crate::node::Node;
use crate::status::connection_dropped;
use blocks::OrdererBlocks;

/// Limit of answers that wait for a slow reader.
const BUFFERED_ANSWERS: usize = 16;

type AnswerStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves the orderer.
pub(crate) struct OrderingService {
    pub(crate) node: Arc<Node>,
    pub(crate) faults: NodeFaults,
}

#[tonic::async_trait]
impl AtomicBroadcast for OrderingService {
    type BroadcastStream = AnswerStream<BroadcastResponse>;
    type DeliverStream = AnswerStream<DeliverResponse>;

    async fn broadcast(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::BroadcastStream>, Status> {
        self.check_available()?;
        let node = Arc::clone(&self.node);
        let (answers, stream) = mpsc::channel(BUFFERED_ANSWERS);
        tokio::spawn(take_envelopes(node, request.into_inner(), answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn deliver(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverStream>, Status> {
        self.check_available()?;
        let (caller, stream) = mpsc::channel(BUFFERED_ANSWERS);
        let (node, faults) = (Arc::clone(&self.node), self.faults.clone());
        let session = Session { node, faults, messages: OrdererBlocks, caller };
        tokio::spawn(async move { session.serve(request.into_inner()).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

impl OrderingService {
    fn check_available(&self) -> Result<(), Status> {
        if self.faults.is_unavailable() { Err(connection_dropped()) } else { Ok(()) }
    }
}

/// Answers envelopes in their order; the caller may send several before it reads. A refused
/// envelope does not end the stream.
async fn take_envelopes(
    node: Arc<Node>,
    mut envelopes: Streaming<Envelope>,
    answers: mpsc::Sender<Result<BroadcastResponse, Status>>,
) {
    loop {
        let next = tokio::select! {
            next = envelopes.message() => next,
            () = node.stopping.cancelled() => return,
            () = answers.closed() => return,
        };
        let Ok(Some(envelope)) = next else { return };
        let answer = match take(&node, envelope).await {
            Ok(()) => {
                BroadcastResponse { status: OrdererStatus::Success.into(), info: String::new() }
            }
            Err(Refused { status, info }) => BroadcastResponse { status: status.into(), info },
        };
        if answers.send(Ok(answer)).await.is_err() {
            return;
        }
    }
}

/// Checks and queues an envelope.
async fn take(node: &Arc<Node>, envelope: Envelope) -> Result<(), Refused> {
    let validated = admit(node, envelope).await?;
    let queued = node.orderer.submit(validated).await;
    queued.map_err(|OrdererGone| Refused {
        status: OrdererStatus::ServiceUnavailable,
        info: "the ledger is stopping".to_owned(),
    })
}
