//! The peer's Deliver service: full and filtered blocks from any position on.

mod feed;
mod private;
mod seek;

use std::pin::Pin;
use std::sync::Arc;

use gx_fabric_proto::common::{Block, Envelope, HeaderType, Status as DeliverStatus};
use gx_fabric_proto::protos::deliver_response::Type as Answer;
use gx_fabric_proto::protos::deliver_server::Deliver;
use gx_fabric_proto::protos::filtered_transaction::Data as FilteredData;
use gx_fabric_proto::protos::{
    BlockAndPrivateData, ChaincodeEvent, DeliverResponse, FilteredBlock, FilteredChaincodeAction,
    FilteredTransaction, FilteredTransactionActions,
};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use feed::{BlockFeed, Ended};
pub(crate) use seek::Seek;

use crate::ledger::{StoreError, transactions};
use crate::node::{Node, Peer};
use crate::status::{connection_dropped, store_failed, too_many_deliver_streams, validation_code};
use private::private_data;

/// Blocks that wait for a slow reader.
const BUFFERED_BLOCKS: usize = 16;

type Answers = Pin<Box<dyn Stream<Item = Result<DeliverResponse, Status>> + Send>>;

/// Serves the blocks of one peer.
pub(crate) struct DeliverService {
    pub(crate) node: Arc<Node>,
    pub(crate) peer: Arc<Peer>,
}

/// What of a block is sent.
#[derive(Clone, Copy)]
enum Form {
    Full,
    Filtered,
    WithPrivateData,
}

#[tonic::async_trait]
impl Deliver for DeliverService {
    type DeliverStream = Answers;
    type DeliverFilteredStream = Answers;
    type DeliverWithPrivateDataStream = Answers;

    async fn deliver(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Answers>, Status> {
        self.open(request.into_inner(), Form::Full)
    }

    async fn deliver_filtered(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Answers>, Status> {
        self.open(request.into_inner(), Form::Filtered)
    }

    async fn deliver_with_private_data(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Answers>, Status> {
        self.open(request.into_inner(), Form::WithPrivateData)
    }
}

impl DeliverService {
    fn open(&self, requests: Streaming<Envelope>, form: Form) -> Result<Response<Answers>, Status> {
        if self.peer.faults.is_unavailable() {
            return Err(connection_dropped());
        }
        let streams = Arc::clone(&self.peer.deliver_streams);
        let permit = streams.try_acquire_owned().map_err(|_| too_many_deliver_streams())?;
        let (answers, stream) = mpsc::channel(BUFFERED_BLOCKS);
        let (node, peer) = (Arc::clone(&self.node), Arc::clone(&self.peer));
        let session = Session { node, peer, form, answers };
        tokio::spawn(async move {
            session.serve(requests).await;
            drop(permit);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// The caller does not listen any more, or must not be answered any more.
struct Gone;

/// One caller's stream: a seek after the other.
struct Session {
    node: Arc<Node>,
    peer: Arc<Peer>,
    form: Form,
    answers: mpsc::Sender<Result<DeliverResponse, Status>>,
}

impl Session {
    async fn serve(&self, mut requests: Streaming<Envelope>) {
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
        let mut feed = BlockFeed::new(Arc::clone(&self.node), &self.peer.faults, seek.start);
        if !seek.waits_for(*self.node.height.borrow()) {
            feed.never_mute();
        }
        loop {
            if seek.fail_if_not_ready && feed.position() >= *self.node.height.borrow() {
                return Ok(DeliverStatus::NotFound);
            }
            let next = tokio::select! {
                next = feed.next() => next,
                () = self.answers.closed() => return Err(Gone),
            };
            match next {
                Ok(block) => {
                    let number = feed.position() - 1;
                    let formed = match self.form(&seek, block) {
                        Ok(formed) => formed,
                        Err(error) => return self.fail(store_failed(&error)).await,
                    };
                    self.send(formed).await?;
                    if number == seek.stop {
                        return Ok(DeliverStatus::Success);
                    }
                }
                Err(Ended::Cleanly) => return Err(Gone),
                Err(Ended::By(status)) => return self.fail(status).await,
            }
        }
    }

    async fn send(&self, answer: Answer) -> Result<(), Gone> {
        let response = DeliverResponse { r#type: Some(answer) };
        self.answers.send(Ok(response)).await.map_err(|_| Gone)
    }

    /// Ends the stream with an error.
    async fn fail<T>(&self, status: Status) -> Result<T, Gone> {
        let _gone = self.answers.send(Err(status)).await;
        Err(Gone)
    }

    fn form(&self, seek: &Seek, mut block: Block) -> Result<Answer, StoreError> {
        if seek.headers_only && !is_config(&block) {
            block.data = None;
        }
        Ok(match self.form {
            Form::Full => Answer::Block(block),
            Form::Filtered => Answer::FilteredBlock(filtered(&self.node.channel, &block)),
            Form::WithPrivateData => {
                let number = block.header.as_ref().map_or(0, |header| header.number);
                Answer::BlockAndPrivateData(BlockAndPrivateData {
                    private_data_map: private_data(&self.node, &self.peer, &seek.reader, number)?,
                    block: Some(block),
                })
            }
        })
    }
}

/// A block without arguments, results and event payloads.
fn filtered(channel: &str, block: &Block) -> FilteredBlock {
    let filtered_transactions = transactions(block)
        .into_iter()
        .map(|transaction| {
            let endorsed = transaction.kind == i32::from(HeaderType::EndorserTransaction);
            let chaincode_actions = transaction
                .event
                .map(|event| FilteredChaincodeAction {
                    chaincode_event: Some(ChaincodeEvent { payload: Vec::new(), ..event }),
                })
                .into_iter()
                .collect();
            FilteredTransaction {
                txid: transaction.id,
                r#type: transaction.kind,
                tx_validation_code: validation_code(transaction.code).into(),
                data: endorsed.then_some(FilteredData::TransactionActions(
                    FilteredTransactionActions { chaincode_actions },
                )),
            }
        })
        .collect();
    let number = block.header.as_ref().map(|header| header.number).unwrap_or_default();
    FilteredBlock { channel_id: channel.to_owned(), number, filtered_transactions }
}

fn is_config(block: &Block) -> bool {
    let first = transactions(block).into_iter().next();
    first.is_some_and(|transaction| transaction.kind == i32::from(HeaderType::Config))
}
