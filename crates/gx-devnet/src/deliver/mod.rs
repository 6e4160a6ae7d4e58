//! The peer's Deliver service: full and filtered blocks from any position on. Clients of a peer
//! call it; the server of each peer has one.

mod feed;
mod private;
mod seek;
mod session;

use std::pin::Pin;
use std::sync::Arc;

use gx_fabric_proto::common::{Block, Envelope, HeaderType, Status as DeliverStatus};
use gx_fabric_proto::protos::deliver_server::Deliver;
use gx_fabric_proto::protos::filtered_transaction::Data as FilteredData;
use gx_fabric_proto::protos::{
    BlockAndPrivateData, ChaincodeEvent, DeliverResponse, FilteredBlock, FilteredChaincodeAction,
    FilteredTransaction, FilteredTransactionActions, deliver_response,
};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use feed::{BlockFeed, Ended};
pub(crate) use seek::Seek;
pub(crate) use session::{DeliverMessages, Session};

use crate::ledger::{StoreError, transactions};
use crate::node::{Node, Peer};
use crate::status::{connection_dropped, too_many_deliver_streams, validation_code};
use private::private_data;

/// Limit of blocks that wait for a slow reader.
const BUFFERED_BLOCKS: usize = 16;

type Responses = Pin<Box<dyn Stream<Item = Result<DeliverResponse, Status>> + Send>>;

/// Serves the blocks of one peer.
pub(crate) struct DeliverService {
    pub(crate) node: Arc<Node>,
    pub(crate) peer: Arc<Peer>,
}

/// The form in which blocks are sent.
#[derive(Clone, Copy)]
enum Form {
    Full,
    Filtered,
    WithPrivateData,
}

#[tonic::async_trait]
impl Deliver for DeliverService {
    type DeliverStream = Responses;
    type DeliverFilteredStream = Responses;
    type DeliverWithPrivateDataStream = Responses;

    async fn deliver(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(request.into_inner(), Form::Full)
    }

    async fn deliver_filtered(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(request.into_inner(), Form::Filtered)
    }

    async fn deliver_with_private_data(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(request.into_inner(), Form::WithPrivateData)
    }
}

impl DeliverService {
    /// Starts a session, or refuses it as unavailable or above the limit of streams.
    fn open(
        &self,
        requests: Streaming<Envelope>,
        form: Form,
    ) -> Result<Response<Responses>, Status> {
        if self.peer.faults.is_unavailable() {
            return Err(connection_dropped());
        }
        let streams = Arc::clone(&self.peer.deliver_streams);
        let permit = streams.try_acquire_owned().map_err(|_| too_many_deliver_streams())?;
        let (caller, stream) = mpsc::channel(BUFFERED_BLOCKS);
        let (node, peer) = (Arc::clone(&self.node), Arc::clone(&self.peer));
        let faults = peer.faults.clone();
        let messages = PeerBlocks { node: Arc::clone(&node), peer, form };
        let session = Session { node, faults, messages, caller };
        tokio::spawn(async move {
            session.serve(requests).await;
            drop(permit);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// The form of the blocks that a peer sends to one caller.
struct PeerBlocks {
    node: Arc<Node>,
    peer: Arc<Peer>,
    form: Form,
}

impl DeliverMessages for PeerBlocks {
    type Message = DeliverResponse;

    fn block(&self, seek: &Seek, mut block: Block) -> Result<DeliverResponse, StoreError> {
        let number = block.header.as_ref().map_or(0, |header| header.number);
        if let Some(forgery) = self.peer.faults.forgery(number) {
            forgery.forge(&mut block);
        }
        Ok(response(match self.form {
            Form::Full => deliver_response::Type::Block(block),
            Form::Filtered => {
                deliver_response::Type::FilteredBlock(filtered(&self.node.channel, &block))
            }
            Form::WithPrivateData => {
                deliver_response::Type::BlockAndPrivateData(BlockAndPrivateData {
                    private_data_map: private_data(&self.node, &self.peer, &seek.reader, number)?,
                    block: Some(block),
                })
            }
        }))
    }

    fn status(&self, status: DeliverStatus) -> DeliverResponse {
        response(deliver_response::Type::Status(status.into()))
    }
}

fn response(content: deliver_response::Type) -> DeliverResponse {
    DeliverResponse { r#type: Some(content) }
}

/// Returns a block without arguments, results and event payloads.
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
