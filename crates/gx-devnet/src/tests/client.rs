//! A raw client that builds every message itself, valid or invalid as a test needs it.

use gx_fabric_proto::common::{
    Block, ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader,
};
use gx_fabric_proto::gateway::gateway_client::GatewayClient;
use gx_fabric_proto::gateway::{
    ChaincodeEventsRequest, ChaincodeEventsResponse, CommitStatusRequest, CommitStatusResponse,
    EndorseRequest, ErrorDetail, EvaluateRequest, SignedChaincodeEventsRequest,
    SignedCommitStatusRequest, SubmitRequest,
};
use gx_fabric_proto::google::rpc;
use gx_fabric_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_fabric_proto::orderer::seek_position::Type as Position;
use gx_fabric_proto::orderer::{SeekInfo, SeekPosition, SeekSpecified};
use gx_fabric_proto::protos::deliver_client::DeliverClient;
use gx_fabric_proto::protos::{
    ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput, ChaincodeInvocationSpec,
    ChaincodeProposalPayload, ChaincodeSpec, DeliverResponse, Proposal, SignedProposal,
    TxValidationCode, deliver_response,
};
use gx_fabric_proto::{MAX_MESSAGE_BYTES, transaction_id};
use gx_model::{Clock, Command, CommandId};
use prost::Message;
use prost_types::Timestamp;
use time::OffsetDateTime;
use tokio_stream::StreamExt;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Status, Streaming};

use super::bounded;
use crate::msp::Signer;
use crate::{Devnet, PemIdentity};

pub(super) struct Client {
    connection: Channel,
    signer: Signer,
    /// The creator that the client claims to be.
    creator: Vec<u8>,
    clock: Clock,
    pub(super) channel: String,
    pub(super) chaincode: String,
}

/// A proposal that a test may change before it is sent.
pub(super) struct Draft {
    pub(super) tx_id: String,
    pub(super) channel_header: ChannelHeader,
    signature_header: SignatureHeader,
    payload: ChaincodeProposalPayload,
}

/// An endorsed transaction with the client's signature.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) tx_id: String,
    pub(super) envelope: Envelope,
}

impl Client {
    pub(super) fn new(devnet: &Devnet, identity: &PemIdentity, clock: &Clock) -> Self {
        Self::at(&devnet.endpoint(), &devnet.tls_root_pem(), identity, clock)
    }

    /// Returns a client of any node.
    pub(super) fn at(address: &str, tls_root: &str, identity: &PemIdentity, clock: &Clock) -> Self {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(tls_root));
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
        let signer = Signer::from_pem(identity).unwrap();
        Self {
            connection: endpoint.tls_config(tls).unwrap().connect_lazy(),
            creator: signer.creator().to_vec(),
            signer,
            clock: clock.clone(),
            channel: "gxchannel".to_owned(),
            chaincode: "gxtv3".to_owned(),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.signer.sign(message)
    }

    /// Returns the same client with another creator in its messages.
    pub(super) fn with_creator(self, creator: Vec<u8>) -> Self {
        Self { creator, ..self }
    }

    pub(super) fn creator(&self) -> Vec<u8> {
        self.creator.clone()
    }

    pub(super) fn draft(&self, function: &str, args: &[&str]) -> Draft {
        let args: Vec<_> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        self.draft_bytes(function, &args)
    }

    fn draft_bytes(&self, function: &str, args: &[Vec<u8>]) -> Draft {
        let mut nonce = vec![0; 24];
        aws_lc_rs::rand::fill(&mut nonce).unwrap();
        let signature_header = SignatureHeader { creator: self.creator(), nonce };
        let tx_id = transaction_id(&signature_header.nonce, &signature_header.creator);
        let id = ChaincodeId { name: self.chaincode.clone(), ..ChaincodeId::default() };
        let extension = ChaincodeHeaderExtension { chaincode_id: Some(id.clone()) };
        let channel_header = ChannelHeader {
            r#type: HeaderType::EndorserTransaction.into(),
            timestamp: Some(timestamp(self.clock.now())),
            channel_id: self.channel.clone(),
            tx_id: tx_id.clone(),
            extension: extension.encode_to_vec(),
            ..ChannelHeader::default()
        };
        let args = [&[function.as_bytes().to_vec()], args].concat();
        let input = ChaincodeInput { args, ..ChaincodeInput::default() };
        let spec = ChaincodeSpec {
            chaincode_id: Some(id),
            input: Some(input),
            ..ChaincodeSpec::default()
        };
        let input = ChaincodeInvocationSpec { chaincode_spec: Some(spec) }.encode_to_vec();
        let payload = ChaincodeProposalPayload { input, ..ChaincodeProposalPayload::default() };
        Draft { tx_id, channel_header, signature_header, payload }
    }

    pub(super) async fn evaluate(&self, function: &str, args: &[&str]) -> Result<Vec<u8>, Status> {
        self.evaluate_proposal(self.draft(function, args).signed(|bytes| self.sign(bytes))).await
    }

    pub(super) async fn evaluate_bytes(
        &self,
        function: &str,
        args: &[Vec<u8>],
    ) -> Result<Vec<u8>, Status> {
        let draft = self.draft_bytes(function, args);
        self.evaluate_proposal(draft.signed(|bytes| self.sign(bytes))).await
    }

    pub(super) async fn evaluate_proposal(
        &self,
        signed: SignedProposal,
    ) -> Result<Vec<u8>, Status> {
        let request =
            EvaluateRequest { proposed_transaction: Some(signed), ..EvaluateRequest::default() };
        let response = bounded("evaluate", self.gateway().evaluate(request)).await?;
        Ok(response.into_inner().result.unwrap().payload)
    }

    /// Evaluates at a peer of one of these organisations.
    pub(super) async fn evaluate_at(
        &self,
        function: &str,
        organizations: &[&str],
    ) -> Result<Vec<u8>, Status> {
        let signed = self.draft(function, &[]).signed(|bytes| self.sign(bytes));
        let request = EvaluateRequest {
            proposed_transaction: Some(signed),
            target_organizations: organizations.iter().map(|org| (*org).to_owned()).collect(),
            ..EvaluateRequest::default()
        };
        let response = bounded("evaluate", self.gateway().evaluate(request)).await?;
        Ok(response.into_inner().result.unwrap().payload)
    }

    pub(super) async fn endorse(&self, function: &str, args: &[&str]) -> Result<Signed, Status> {
        let draft = self.draft(function, args);
        let tx_id = draft.tx_id.clone();
        self.endorse_proposal(tx_id, draft.signed(|bytes| self.sign(bytes))).await
    }

    pub(super) async fn endorse_proposal(
        &self,
        tx_id: String,
        signed: SignedProposal,
    ) -> Result<Signed, Status> {
        self.endorse_by(tx_id, signed, &[]).await
    }

    /// Endorses by one peer of each of these organisations.
    pub(super) async fn endorse_by(
        &self,
        tx_id: String,
        signed: SignedProposal,
        organizations: &[&str],
    ) -> Result<Signed, Status> {
        let request = EndorseRequest {
            transaction_id: tx_id.clone(),
            channel_id: self.channel.clone(),
            proposed_transaction: Some(signed),
            endorsing_organizations: organizations.iter().map(|org| (*org).to_owned()).collect(),
        };
        let response = bounded("endorse", self.gateway().endorse(request)).await?;
        let mut envelope = response.into_inner().prepared_transaction.unwrap();
        envelope.signature = self.sign(&envelope.payload);
        Ok(Signed { tx_id, envelope })
    }

    pub(super) async fn submit(&self, transaction: &Signed) -> Result<(), Status> {
        let request = SubmitRequest {
            transaction_id: transaction.tx_id.clone(),
            channel_id: self.channel.clone(),
            prepared_transaction: Some(transaction.envelope.clone()),
        };
        bounded("submit", self.gateway().submit(request)).await.map(|_| ())
    }

    pub(super) async fn commit_status(&self, tx_id: &str) -> Result<CommitStatusResponse, Status> {
        let request = CommitStatusRequest {
            transaction_id: tx_id.to_owned(),
            channel_id: self.channel.clone(),
            identity: self.creator(),
        }
        .encode_to_vec();
        let signature = self.sign(&request);
        let request = SignedCommitStatusRequest { request, signature };
        let status = bounded("commit status", self.gateway().commit_status(request)).await?;
        Ok(status.into_inner())
    }

    /// Endorses, submits and waits for the commit.
    pub(super) async fn invoke(&self, function: &str, args: &[&str]) -> Result<Committed, Status> {
        let transaction = self.endorse(function, args).await?;
        self.submit(&transaction).await?;
        let status = self.commit_status(&transaction.tx_id).await?;
        Ok(Committed {
            block: status.block_number,
            code: status.result(),
            tx_id: transaction.tx_id,
        })
    }

    /// Executes a command by a direct call. Its id is derived from its content.
    pub(super) async fn carry_out(&self, command: &Command) -> Result<Committed, Status> {
        let (function, args) = direct_call(command);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.invoke(&function, &args).await
    }

    pub(super) async fn events(
        &self,
        start: Option<Position>,
        after: &str,
    ) -> Result<Streaming<ChaincodeEventsResponse>, Status> {
        let request = ChaincodeEventsRequest {
            channel_id: self.channel.clone(),
            chaincode_id: self.chaincode.clone(),
            identity: self.creator(),
            start_position: start.map(|start| SeekPosition { r#type: Some(start) }),
            after_transaction_id: after.to_owned(),
        }
        .encode_to_vec();
        let signature = self.sign(&request);
        let request = SignedChaincodeEventsRequest { request, signature };
        Ok(bounded("events", self.gateway().chaincode_events(request)).await?.into_inner())
    }

    /// Returns a stream of the blocks from one position to another.
    pub(super) async fn deliver(
        &self,
        start: Position,
        stop: Position,
        behavior: SeekBehavior,
    ) -> Result<Streaming<DeliverResponse>, Status> {
        let envelope = self.seek(start, stop, behavior);
        let requests = tokio_stream::once(envelope).chain(tokio_stream::pending());
        let mut delivery = self.delivery();
        Ok(bounded("deliver", delivery.deliver(requests)).await?.into_inner())
    }

    pub(super) async fn deliver_filtered(&self) -> Streaming<DeliverResponse> {
        let envelope = self.seek(number(0), number(u64::MAX), SeekBehavior::BlockUntilReady);
        let requests = tokio_stream::once(envelope).chain(tokio_stream::pending());
        bounded("deliver", self.delivery().deliver_filtered(requests)).await.unwrap().into_inner()
    }

    pub(super) async fn deliver_private(&self) -> Streaming<DeliverResponse> {
        let envelope = self.seek(number(0), number(u64::MAX), SeekBehavior::BlockUntilReady);
        let requests = tokio_stream::once(envelope).chain(tokio_stream::pending());
        let mut delivery = self.delivery();
        let stream = bounded("deliver", delivery.deliver_with_private_data(requests)).await;
        stream.unwrap().into_inner()
    }

    /// Returns a stream of all blocks from this one on.
    pub(super) async fn follow(&self, from: u64) -> Streaming<DeliverResponse> {
        let (start, stop) = (number(from), number(u64::MAX));
        self.deliver(start, stop, SeekBehavior::BlockUntilReady).await.unwrap()
    }

    /// Returns the blocks that exist.
    pub(super) async fn chain(&self) -> Vec<Block> {
        let newest = Position::Newest(gx_fabric_proto::orderer::SeekNewest {});
        let mut stream =
            self.deliver(number(0), newest, SeekBehavior::FailIfNotReady).await.unwrap();
        let mut blocks = Vec::new();
        loop {
            match next(&mut stream).await {
                deliver_response::Type::Block(block) => blocks.push(block),
                deliver_response::Type::Status(200) => return blocks,
                other => panic!("neither a block nor the end: {other:?}"),
            }
        }
    }

    pub(super) async fn block(&self, at: u64) -> Block {
        let mut stream =
            self.deliver(number(at), number(at), SeekBehavior::BlockUntilReady).await.unwrap();
        next_block(&mut stream).await
    }

    /// Calls a method with an empty message.
    pub(super) async fn call(&self, path: &'static str) -> Result<(), Status> {
        let mut grpc = tonic::client::Grpc::new(self.connection.clone());
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<EvaluateRequest, EvaluateRequest>::default();
        let request = tonic::Request::new(EvaluateRequest::default());
        let path = path.parse().unwrap();
        bounded("the call", grpc.unary(request, path, codec)).await.map(|_| ())
    }

    pub(super) fn orderer(&self) -> AtomicBroadcastClient<Channel> {
        AtomicBroadcastClient::new(self.connection.clone())
    }

    pub(super) fn seek(&self, start: Position, stop: Position, behavior: SeekBehavior) -> Envelope {
        let seek = SeekInfo {
            start: Some(SeekPosition { r#type: Some(start) }),
            stop: Some(SeekPosition { r#type: Some(stop) }),
            behavior: behavior.into(),
            ..SeekInfo::default()
        };
        let channel_header = ChannelHeader {
            r#type: HeaderType::DeliverSeekInfo.into(),
            timestamp: Some(timestamp(self.clock.now())),
            channel_id: self.channel.clone(),
            ..ChannelHeader::default()
        };
        let signature_header = SignatureHeader { creator: self.creator(), nonce: vec![1; 24] };
        let header = Header {
            channel_header: channel_header.encode_to_vec(),
            signature_header: signature_header.encode_to_vec(),
        };
        let payload = Payload { header: Some(header), data: seek.encode_to_vec() }.encode_to_vec();
        Envelope { signature: self.sign(&payload), payload }
    }

    pub(super) fn gateway(&self) -> GatewayClient<Channel> {
        GatewayClient::new(self.connection.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    fn delivery(&self) -> DeliverClient<Channel> {
        DeliverClient::new(self.connection.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }
}

impl Draft {
    pub(super) fn transient(&mut self, name: &str, value: &[u8]) {
        self.payload.transient_map.insert(name.to_owned(), value.to_vec());
    }

    /// Makes the call an initialisation of the chaincode.
    pub(super) fn is_init(&mut self) {
        let mut invocation =
            ChaincodeInvocationSpec::decode(self.payload.input.as_slice()).unwrap();
        let spec = invocation.chaincode_spec.as_mut().unwrap();
        spec.input.as_mut().unwrap().is_init = true;
        self.payload.input = invocation.encode_to_vec();
    }

    pub(super) fn signed(&self, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> SignedProposal {
        let header = Header {
            channel_header: self.channel_header.encode_to_vec(),
            signature_header: self.signature_header.encode_to_vec(),
        };
        let proposal = Proposal {
            header: header.encode_to_vec(),
            payload: self.payload.encode_to_vec(),
            extension: Vec::new(),
        };
        let proposal_bytes = proposal.encode_to_vec();
        SignedProposal { signature: sign(&proposal_bytes), proposal_bytes }
    }
}

/// The end of a transaction.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) tx_id: String,
    pub(super) block: u64,
    pub(super) code: TxValidationCode,
}

/// Returns the function and arguments of a direct call. The command's id is derived from its
/// content.
pub(super) fn direct_call(command: &Command) -> (String, Vec<String>) {
    let mut call = command.call();
    call.args.push(CommandId::derive(&[&format!("{call:?}")]).to_string());
    (call.function, call.args)
}

pub(super) fn number(number: u64) -> Position {
    Position::Specified(SeekSpecified { number })
}

pub(super) fn timestamp(time: OffsetDateTime) -> Timestamp {
    let nanos = i32::try_from(time.nanosecond()).unwrap();
    Timestamp { seconds: time.unix_timestamp(), nanos }
}

/// Returns the next answer of a stream, which must have one.
pub(super) async fn next(stream: &mut Streaming<DeliverResponse>) -> deliver_response::Type {
    let answer = bounded("the next block", stream.message()).await.unwrap();
    answer.expect("the stream goes on").r#type.unwrap()
}

pub(super) async fn next_block(stream: &mut Streaming<DeliverResponse>) -> Block {
    match next(stream).await {
        deliver_response::Type::Block(block) => block,
        other => panic!("no block: {other:?}"),
    }
}

/// Returns the code, the message, and the first node's message in the details.
pub(super) fn said(status: &Status) -> (tonic::Code, String, Option<String>) {
    let detail = details(status).into_iter().next();
    (status.code(), status.message().to_owned(), detail.map(|detail| detail.message))
}

/// Returns the details of the nodes.
pub(super) fn details(status: &Status) -> Vec<ErrorDetail> {
    let details = rpc::Status::decode(status.details()).unwrap().details;
    let details = details.into_iter().map(|detail| {
        assert_eq!(detail.type_url, "type.googleapis.com/gateway.ErrorDetail");
        let detail = ErrorDetail::decode(detail.value.as_slice()).unwrap();
        assert!(!detail.address.is_empty());
        assert!(!detail.msp_id.is_empty());
        detail
    });
    details.collect()
}
