//! A peer with its state in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use gx_fabric_proto::MAX_MESSAGE_BYTES;
use gx_fabric_proto::common::{ChannelHeader, Header, SignatureHeader};
use gx_fabric_proto::msp::SerializedIdentity;
use gx_fabric_proto::protos::chaincode_client::ChaincodeClient;
use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::{
    ChaincodeAdditionalParams, ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput,
    ChaincodeMessage, GetState, GetStateByRange, GetStateMultiple, GetStateMultipleResult,
    Proposal, PutState, QueryMetadata, QueryResponse, QueryResponseMetadata, QueryResultBytes,
    Response, SignedProposal, WriteBatchState,
};
use gx_fabric_proto::queryresult::Kv;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::service::{NAME, PACKAGE_ID, Service, signer};

/// The time limit of every answer of the service.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Peer {
    outgoing: mpsc::Sender<ChaincodeMessage>,
    incoming: Streaming<ChaincodeMessage>,
    pub(crate) state: BTreeMap<String, Vec<u8>>,
    /// The requests of the service, in order.
    pub(crate) asked: Vec<Type>,
}

/// The end of a transaction.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) response: Response,
    pub(crate) event: Option<gx_fabric_proto::protos::ChaincodeEvent>,
}

impl Peer {
    /// Returns a peer of 2.5.
    pub(crate) async fn old(service: &Service) -> Self {
        Self::ready(service, vec![]).await
    }

    /// Returns a peer of 3.1 that accepts `at_once` keys and writes in one request.
    pub(crate) async fn offering(service: &Service, at_once: u32) -> Self {
        let offer = ChaincodeAdditionalParams {
            use_write_batch: true,
            max_size_write_batch: at_once,
            use_get_multiple_keys: true,
            max_size_get_multiple_keys: at_once,
        };
        Self::ready(service, offer.encode_to_vec()).await
    }

    /// Opens the stream and receives the registration.
    pub(crate) async fn registered(channel: Channel) -> Result<Self, Status> {
        let (outgoing, messages) = mpsc::channel(64);
        let mut client = ChaincodeClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let incoming = client.connect(ReceiverStream::new(messages)).await?.into_inner();
        let mut peer = Self { outgoing, incoming, state: BTreeMap::new(), asked: vec![] };
        let register = peer.receive().await?;
        assert_eq!(register.r#type(), Type::Register);
        let id = ChaincodeId::decode(&register.payload[..]).unwrap();
        assert_eq!(id.name, PACKAGE_ID);
        Ok(peer)
    }

    async fn ready(service: &Service, offer: Vec<u8>) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
        let mut peer = Self::registered(endpoint.connect_lazy()).await.unwrap();
        peer.send(message(Type::Registered, "", vec![])).await;
        peer.send(message(Type::Ready, "", offer)).await;
        peer
    }

    pub(crate) async fn send(&mut self, message: ChaincodeMessage) {
        self.outgoing.send(message).await.unwrap();
    }

    /// Returns the service's next message, or an error if the stream has ended.
    pub(crate) async fn receive(&mut self) -> Result<ChaincodeMessage, Status> {
        let next = tokio::time::timeout(PATIENCE, self.incoming.message()).await;
        next.expect("the service answers")?.ok_or_else(|| Status::cancelled("the end"))
    }

    /// Runs one transaction of a super admin until it ends.
    pub(crate) async fn invoke(&mut self, tx_id: &str, args: &[&str]) -> Outcome {
        self.send(transaction(tx_id, NAME, &signer("admin", None), args)).await;
        self.complete().await
    }

    /// Answers the service's requests until it ends a transaction.
    pub(crate) async fn complete(&mut self) -> Outcome {
        loop {
            let message = self.receive().await.unwrap();
            if message.r#type() == Type::Completed {
                let response = Response::decode(&message.payload[..]).unwrap();
                return Outcome { response, event: message.chaincode_event };
            }
            self.answer(&message).await;
        }
    }

    /// Answers one request.
    pub(crate) async fn answer(&mut self, question: &ChaincodeMessage) {
        let kind = question.r#type();
        self.asked.push(kind);
        let body = &question.payload[..];
        let payload = match kind {
            Type::GetState => self.value(&GetState::decode(body).unwrap().key),
            Type::GetStateMultiple => {
                let keys = GetStateMultiple::decode(body).unwrap().keys;
                let values = keys.iter().map(|key| self.value(key)).collect();
                GetStateMultipleResult { values }.encode_to_vec()
            }
            Type::GetStateByRange => self.page(&GetStateByRange::decode(body).unwrap()),
            Type::PutState => {
                let put = PutState::decode(body).unwrap();
                self.state.insert(put.key, put.value);
                vec![]
            }
            Type::WriteBatchState => {
                for record in WriteBatchState::decode(body).unwrap().rec {
                    self.state.insert(record.key, record.value);
                }
                vec![]
            }
            other => panic!("a peer does not expect {other:?}: {question:?}"),
        };
        self.send(message(Type::Response, &question.txid, payload)).await;
    }

    fn value(&self, key: &str) -> Vec<u8> {
        self.state.get(key).cloned().unwrap_or_default()
    }

    fn page(&self, request: &GetStateByRange) -> Vec<u8> {
        let page = QueryMetadata::decode(&request.metadata[..]).unwrap();
        let size = usize::try_from(page.page_size).unwrap();
        let start = if page.bookmark.is_empty() { &request.start_key } else { &page.bookmark };
        let mut rest = self.state.range(start.clone()..request.end_key.clone());
        let entry = |(key, value): (&String, &Vec<u8>)| {
            let kv = Kv { namespace: NAME.to_owned(), key: key.clone(), value: value.clone() };
            QueryResultBytes { result_bytes: kv.encode_to_vec() }
        };
        let results: Vec<_> = rest.by_ref().take(size).map(entry).collect();
        let metadata = QueryResponseMetadata {
            fetched_records_count: i32::try_from(results.len()).unwrap(),
            bookmark: rest.next().map(|(key, _)| key.clone()).unwrap_or_default(),
        };
        let id = "one".to_owned();
        let metadata = metadata.encode_to_vec();
        QueryResponse { results, has_more: false, id, metadata }.encode_to_vec()
    }
}

pub(crate) fn message(kind: Type, tx_id: &str, payload: Vec<u8>) -> ChaincodeMessage {
    let channel_id = if tx_id.is_empty() { "" } else { "gxchannel" };
    ChaincodeMessage {
        r#type: kind.into(),
        payload,
        txid: tx_id.to_owned(),
        channel_id: channel_id.to_owned(),
        ..ChaincodeMessage::default()
    }
}

/// Returns a transaction message of a peer; `chaincode` is the name in the signed proposal.
pub(crate) fn transaction(
    tx_id: &str,
    chaincode: &str,
    certificate_pem: &str,
    args: &[&str],
) -> ChaincodeMessage {
    let chaincode_id = ChaincodeId { name: chaincode.to_owned(), ..ChaincodeId::default() };
    let extension = ChaincodeHeaderExtension { chaincode_id: Some(chaincode_id) };
    let channel = ChannelHeader {
        timestamp: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        extension: extension.encode_to_vec(),
        ..ChannelHeader::default()
    };
    let creator = SerializedIdentity {
        mspid: "Org1MSP".to_owned(),
        id_bytes: certificate_pem.as_bytes().to_vec(),
    };
    let signature = SignatureHeader { creator: creator.encode_to_vec(), nonce: vec![] };
    let header = Header {
        channel_header: channel.encode_to_vec(),
        signature_header: signature.encode_to_vec(),
    };
    let proposal = Proposal { header: header.encode_to_vec(), ..Proposal::default() };
    let args = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    let input = ChaincodeInput { args, ..ChaincodeInput::default() };
    ChaincodeMessage {
        proposal: Some(SignedProposal {
            proposal_bytes: proposal.encode_to_vec(),
            signature: vec![],
        }),
        ..message(Type::Transaction, tx_id, input.encode_to_vec())
    }
}
