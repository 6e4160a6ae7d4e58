//! FAB-15: the part of a certificate's file that is published, on the wire and in a block.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use gx_fabric_client::{Identity, PeerConfig};
use gx_fabric_proto::common::{Block, Envelope, Header, Payload, SignatureHeader};
use gx_fabric_proto::gateway::gateway_server::{Gateway, GatewayServer};
use gx_fabric_proto::gateway::{
    ChaincodeEventsResponse, CommitStatusResponse, EndorseRequest, EndorseResponse,
    EvaluateRequest, EvaluateResponse, SignedChaincodeEventsRequest, SignedCommitStatusRequest,
    SubmitRequest, SubmitResponse,
};
use gx_fabric_proto::msp::SerializedIdentity;
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_fabric_proto::orderer::{SeekInfo, SeekPosition, SeekSpecified, seek_position};
use gx_fabric_proto::protos::deliver_client::DeliverClient;
use gx_fabric_proto::protos::deliver_response::Type;
use gx_fabric_proto::protos::{Proposal, SignedProposal};
use gx_fabric_proto::transaction_id;
use gx_model::{Clock, SignerRole};
use prost::Message;
use prost_types::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{
    Certificate, ClientTlsConfig, Endpoint, Identity as TlsIdentity, Server, ServerTlsConfig,
};
use tonic::{Request, Response, Status};

use crate::contracts::fresh_id;
use crate::world::{World, config, ledger, strings};

const STATUS: &str = "AdminContract:GetSystemStatus";
const BOOTSTRAP: &str = "AdminContract:BootstrapSystem";

/// Returns a signer whose certificate file has more than the certificate: the certificate as its
/// authority wrote it, and the identity.
fn signer_with_much_around(world: &World, role: SignerRole) -> (String, Identity) {
    let pem = world.devnet().identity(role);
    let authority = world.devnet().tls_root_pem();
    let file = format!("kept in the safe\n{authority}subject=x\r\n{}# end\n", pem.certificate_pem);
    let identity = Identity::from_pem(&pem.msp_id, &file, &pem.private_key_pem).unwrap();
    (pem.certificate_pem, identity)
}

/// FAB-15: the gateway gets only the certificate of the key, in every kind of call.
#[tokio::test]
async fn fab_15_a_proposal_carries_the_one_certificate_on_the_wire() {
    let world = World::start().await;
    let (certificate, signer) = signer_with_much_around(&world, SignerRole::Admin);
    let gateway = Recorder::start().await;
    let client = ledger(config(vec![gateway.peer(signer.msp_id())]), signer.clone());
    client.evaluate(STATUS, &[]).await.unwrap_err();
    client.endorse(&signer, STATUS, &[]).await.unwrap_err();
    client.commit_status(&signer, "00").await.unwrap_err();
    let sent = gateway.sent();
    assert_eq!(sent, vec![certificate; 3]);
}

/// FAB-15: a block has only the certificate of the key.
#[tokio::test]
async fn fab_15_a_block_holds_the_one_certificate() {
    let world = World::start().await;
    let (certificate, signer) = signer_with_much_around(&world, SignerRole::SuperAdmin);
    let client = ledger(world.config(), signer.clone());
    let args = strings(&[&fresh_id().to_string()]);
    let endorsed = client.endorse(&signer, BOOTSTRAP, &args).await.unwrap();
    client.submit(&endorsed.tx_id, &endorsed.envelope).await.unwrap();
    let status = client.commit_status(&signer, &endorsed.tx_id).await.unwrap();

    let block = block(&world, status.block).await;
    let creators: Vec<_> = block.data.unwrap().data.iter().map(|one| creator_of(one)).collect();
    assert_eq!(creators, [certificate]);
}

/// Returns the certificate's text in the bytes of a creator.
fn certificate_in(creator: &[u8]) -> String {
    let identity = SerializedIdentity::decode(creator).unwrap();
    String::from_utf8(identity.id_bytes).unwrap()
}

fn creator_of(envelope: &[u8]) -> String {
    let envelope = Envelope::decode(envelope).unwrap();
    let payload = Payload::decode(envelope.payload.as_slice()).unwrap();
    signer_of(&payload.header.unwrap())
}

fn signer_of(header: &Header) -> String {
    let header = SignatureHeader::decode(header.signature_header.as_slice()).unwrap();
    certificate_in(&header.creator)
}

/// Returns a block as the development ledger delivers it. The client's own block has less content.
async fn block(world: &World, number: u64) -> Block {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(world.devnet().tls_root_pem()))
        .domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", world.devnet().endpoint())).unwrap();
    let channel = endpoint.tls_config(tls).unwrap().connect_lazy();
    let seek = tokio_stream::once(seek(world, number));
    let mut answers = DeliverClient::new(channel).deliver(seek).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    match answer.r#type.unwrap() {
        Type::Block(block) => block,
        other => panic!("not a block: {other:?}"),
    }
}

fn seek(world: &World, number: u64) -> Envelope {
    let pem = world.devnet().identity(SignerRole::Admin);
    let signer = world.identity(SignerRole::Admin);
    let id_bytes = pem.certificate_pem.into_bytes();
    let creator = SerializedIdentity { mspid: pem.msp_id, id_bytes }.encode_to_vec();
    let nonce = vec![7; 24];
    let channel_header = gx_fabric_proto::common::ChannelHeader {
        r#type: gx_fabric_proto::common::HeaderType::DeliverSeekInfo.into(),
        timestamp: Some(Timestamp { seconds: Clock::system().now().unix_timestamp(), nanos: 0 }),
        channel_id: "gxchannel".to_owned(),
        tx_id: transaction_id(&nonce, &creator),
        ..Default::default()
    };
    let at = seek_position::Type::Specified(SeekSpecified { number });
    let position = Some(SeekPosition { r#type: Some(at) });
    let info = SeekInfo {
        start: position,
        stop: position,
        behavior: SeekBehavior::FailIfNotReady.into(),
        ..Default::default()
    };
    let header = Header {
        channel_header: channel_header.encode_to_vec(),
        signature_header: SignatureHeader { creator, nonce }.encode_to_vec(),
    };
    let payload = Payload { header: Some(header), data: info.encode_to_vec() }.encode_to_vec();
    let signature = signer.sign(&payload);
    Envelope { payload, signature }
}

/// A gateway that records the creators of calls and serves none.
struct Recorder {
    sent: Arc<Mutex<Vec<String>>>,
    endpoint: String,
    tls_root_pem: String,
    _serving: JoinSet<()>,
}

impl Recorder {
    async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let tls_root_pem = params.self_signed(&key).unwrap().pem();
        let identity = TlsIdentity::from_pem(&tls_root_pem, key.serialize_pem());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("localhost:{}", listener.local_addr().unwrap().port());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let service = GatewayServer::new(Recording(Arc::clone(&sent)));
        let tls = ServerTlsConfig::new().identity(identity);
        let router = Server::builder().tls_config(tls).unwrap().add_service(service);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            router.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Self { sent, endpoint, tls_root_pem, _serving: serving }
    }

    fn peer(&self, msp_id: &str) -> PeerConfig {
        PeerConfig {
            endpoint: self.endpoint.clone(),
            msp_id: msp_id.to_owned(),
            tls_root_pem: self.tls_root_pem.clone(),
            server_name: None,
        }
    }

    /// Returns the certificate of each call, as received.
    fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

struct Recording(Arc<Mutex<Vec<String>>>);

impl Recording {
    fn refuse<T>(&self, certificate: String) -> Result<T, Status> {
        self.0.lock().unwrap().push(certificate);
        Err(Status::failed_precondition("nobody is served"))
    }

    fn refuse_proposal<T>(&self, proposal: Option<SignedProposal>) -> Result<T, Status> {
        let proposal = Proposal::decode(proposal.unwrap().proposal_bytes.as_slice()).unwrap();
        self.refuse(signer_of(&Header::decode(proposal.header.as_slice()).unwrap()))
    }
}

#[tonic::async_trait]
impl Gateway for Recording {
    type ChaincodeEventsStream =
        Pin<Box<dyn Stream<Item = Result<ChaincodeEventsResponse, Status>> + Send>>;

    async fn evaluate(
        &self,
        request: Request<EvaluateRequest>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        self.refuse_proposal(request.into_inner().proposed_transaction)
    }

    async fn endorse(
        &self,
        request: Request<EndorseRequest>,
    ) -> Result<Response<EndorseResponse>, Status> {
        self.refuse_proposal(request.into_inner().proposed_transaction)
    }

    async fn submit(&self, _: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        Err(Status::unimplemented("nothing is submitted"))
    }

    async fn commit_status(
        &self,
        request: Request<SignedCommitStatusRequest>,
    ) -> Result<Response<CommitStatusResponse>, Status> {
        let request = request.into_inner().request;
        let request = gx_fabric_proto::gateway::CommitStatusRequest::decode(request.as_slice());
        self.refuse(certificate_in(&request.unwrap().identity))
    }

    async fn chaincode_events(
        &self,
        _: Request<SignedChaincodeEventsRequest>,
    ) -> Result<Response<Self::ChaincodeEventsStream>, Status> {
        Err(Status::unimplemented("there are no events"))
    }
}
