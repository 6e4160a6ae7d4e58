//! A peer that delivers scripted blocks, for chains that no real peer would send.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use gx_fabric_client::{BlockId, ClientTls, Identity, Ledger, LedgerConfig, PeerConfig};
use gx_fabric_proto::common::{
    Block, BlockData, BlockHeader, BlockMetadata, ChannelHeader, Envelope, Payload,
};
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_fabric_proto::orderer::{SeekInfo, seek_position};
use gx_fabric_proto::protos::deliver_response::Type;
use gx_fabric_proto::protos::deliver_server::{Deliver, DeliverServer};
use gx_fabric_proto::protos::{DeliverResponse, FilteredBlock};
use gx_fabric_proto::{block_data_hash, block_header_hash};
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Certificate, Identity as TlsIdentity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::world::{config, ledger};

type Answers = Pin<Box<dyn Stream<Item = Result<DeliverResponse, Status>> + Send>>;

/// One stream: the blocks that it delivers, and what follows them.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) blocks: Vec<Block>,
    pub(crate) end: End,
}

#[derive(Clone, Copy)]
pub(crate) enum End {
    Clean,
    Silent,
    Status(i32),
}

/// A seek request: the first and last number, and the behaviour.
pub(crate) type Seek = (u64, u64, i32);

#[derive(Default)]
struct Book {
    scripts: VecDeque<Script>,
    seeks: Vec<Seek>,
    bindings: Vec<(Vec<u8>, Vec<u8>)>,
    tip: u64,
    /// The chain that is served instead of scripts, to all callers.
    chain: Option<Vec<Block>>,
    away: bool,
}

pub(crate) struct ScriptedPeer {
    book: Arc<Mutex<Book>>,
    address: SocketAddr,
    tls_root_pem: String,
    client_tls: ClientTls,
    _serving: JoinSet<()>,
}

impl ScriptedPeer {
    pub(crate) async fn start(tip: u64, scripts: Vec<Script>) -> Self {
        Self::start_with(tip, scripts, false).await
    }

    /// Starts a peer that serves this chain until it gets another one.
    pub(crate) async fn serving(chain: &[Block]) -> Self {
        let peer = Self::start(0, Vec::new()).await;
        peer.serve(chain);
        peer
    }

    /// Serves this chain from now on.
    pub(crate) fn serve(&self, chain: &[Block]) {
        let mut book = self.book.lock().unwrap();
        book.tip = chain.len() as u64 - 1;
        book.chain = Some(chain.to_vec());
    }

    /// Sets whether every request is refused.
    pub(crate) fn set_away(&self, away: bool) {
        self.book.lock().unwrap().away = away;
    }

    /// Starts a peer that requires client certificates of its authority.
    pub(crate) async fn start_strict(tip: u64, scripts: Vec<Script>) -> Self {
        Self::start_with(tip, scripts, true).await
    }

    async fn start_with(tip: u64, scripts: Vec<Script>, strict: bool) -> Self {
        let book = Book { scripts: scripts.into(), tip, ..Default::default() };
        let book = Arc::new(Mutex::new(book));
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let (server, client) = (issue(&authority), issue(&authority));
        let mut tls = ServerTlsConfig::new().identity(TlsIdentity::from_pem(server.0, server.1));
        if strict {
            tls = tls.client_ca_root(Certificate::from_pem(authority.pem()));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = DeliverServer::new(Scripted(Arc::clone(&book)));
        let router = Server::builder().tls_config(tls).unwrap().add_service(service);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            router.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        let client_tls = ClientTls { certificate_pem: client.0, private_key_pem: client.1 };
        Self { book, address, tls_root_pem: authority.pem(), client_tls, _serving: serving }
    }

    pub(crate) fn client_tls(&self) -> ClientTls {
        self.client_tls.clone()
    }

    /// Returns, for each stream, the hash of the certificate that the client showed and the hash in
    /// its request.
    pub(crate) fn bindings(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.book.lock().unwrap().bindings.clone()
    }

    pub(crate) fn config(&self) -> PeerConfig {
        PeerConfig {
            endpoint: format!("localhost:{}", self.address.port()),
            msp_id: "Org1MSP".to_owned(),
            tls_root_pem: self.tls_root_pem.clone(),
            server_name: None,
        }
    }

    pub(crate) fn set_tip(&self, tip: u64) {
        self.book.lock().unwrap().tip = tip;
    }

    pub(crate) fn seeks(&self) -> Vec<Seek> {
        self.book.lock().unwrap().seeks.clone()
    }
}

fn issue(authority: &CertifiedIssuer<'_, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// Returns a client of scripted peers.
pub(crate) fn client(peers: &[&ScriptedPeer]) -> Ledger {
    client_with(config(peers.iter().map(|peer| peer.config()).collect()))
}

pub(crate) fn client_with(settings: LedgerConfig) -> Ledger {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let reader = Identity::from_pem("Org1MSP", &certificate.pem(), &key.serialize_pem()).unwrap();
    ledger(settings, reader)
}

/// Returns a chain of `length` blocks, each with a single invalid entry that names the chain.
pub(crate) fn chain(name: &str, length: u64) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for number in 0..length {
        let previous = blocks.last().and_then(|block| block.header.as_ref());
        let previous_hash = previous.map(|h| block_header_hash(h).to_vec()).unwrap_or_default();
        blocks.push(block(name, number, previous_hash));
    }
    blocks
}

pub(crate) fn block(name: &str, number: u64, previous_hash: Vec<u8>) -> Block {
    block_of(vec![format!("{name} {number}").into_bytes()], number, previous_hash)
}

/// Returns a block whose entries are invalid.
pub(crate) fn block_of(entries: Vec<Vec<u8>>, number: u64, previous_hash: Vec<u8>) -> Block {
    let bad_payload = vec![2; entries.len()];
    let data = BlockData { data: entries };
    let data_hash = block_data_hash(&data).to_vec();
    Block {
        header: Some(BlockHeader { number, previous_hash, data_hash }),
        data: Some(data),
        metadata: Some(BlockMetadata { metadata: vec![vec![], vec![], bad_payload] }),
    }
}

pub(crate) fn id(block: &Block) -> BlockId {
    let header = block.header.as_ref().unwrap();
    BlockId { number: header.number, hash: block_header_hash(header) }
}

struct Scripted(Arc<Mutex<Book>>);

#[tonic::async_trait]
impl Deliver for Scripted {
    type DeliverStream = Answers;
    type DeliverFilteredStream = Answers;
    type DeliverWithPrivateDataStream = Answers;

    async fn deliver(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Answers>, Status> {
        let shown = request.peer_certs().map(|chain| Sha256::digest(&chain[0]).to_vec());
        let (seek, bound) = read_seek(request.into_inner()).await;
        let mut book = self.0.lock().unwrap();
        book.seeks.push(seek);
        book.bindings.push((shown.unwrap_or_default(), bound));
        if book.away {
            return Err(Status::unavailable("the peer is away"));
        }
        let script = match &book.chain {
            Some(chain) => served(chain, seek),
            None => {
                let script = book.scripts.pop_front();
                script.unwrap_or(Script { blocks: Vec::new(), end: End::Silent })
            }
        };
        let blocks = script.blocks.into_iter().map(|block| answer(Type::Block(block)));
        let blocks = tokio_stream::iter(blocks.collect::<Vec<_>>());
        Ok(Response::new(match script.end {
            End::Clean => Box::pin(blocks),
            End::Silent => Box::pin(blocks.chain(tokio_stream::pending())),
            End::Status(status) => {
                Box::pin(blocks.chain(tokio_stream::once(answer(Type::Status(status)))))
            }
        }))
    }

    async fn deliver_filtered(
        &self,
        _: Request<Streaming<Envelope>>,
    ) -> Result<Response<Answers>, Status> {
        let (number, away) = {
            let book = self.0.lock().unwrap();
            (book.tip, book.away)
        };
        if away {
            return Err(Status::unavailable("the peer is away"));
        }
        let newest = Type::FilteredBlock(FilteredBlock { number, ..Default::default() });
        Ok(Response::new(Box::pin(tokio_stream::once(answer(newest)))))
    }

    async fn deliver_with_private_data(
        &self,
        _: Request<Streaming<Envelope>>,
    ) -> Result<Response<Answers>, Status> {
        Err(Status::unimplemented("no script asks for it"))
    }
}

/// Returns the answers of a peer with this chain.
fn served(chain: &[Block], (start, stop, behavior): Seek) -> Script {
    let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(chain.len());
    let blocks = chain[at(start)..at(stop.saturating_add(1))].to_vec();
    let waits = behavior == i32::from(SeekBehavior::BlockUntilReady);
    let end = match (waits, blocks.is_empty()) {
        (true, _) => End::Silent,
        (false, true) => End::Status(404),
        (false, false) => End::Status(200),
    };
    Script { blocks, end }
}

fn answer(content: Type) -> Result<DeliverResponse, Status> {
    Ok(DeliverResponse { r#type: Some(content) })
}

async fn read_seek(mut requests: Streaming<Envelope>) -> (Seek, Vec<u8>) {
    let envelope = requests.message().await.unwrap().unwrap();
    let payload = Payload::decode(envelope.payload.as_slice()).unwrap();
    let header = payload.header.unwrap();
    let header = ChannelHeader::decode(header.channel_header.as_slice()).unwrap();
    let seek = SeekInfo::decode(payload.data.as_slice()).unwrap();
    let number = |position: Option<gx_fabric_proto::orderer::SeekPosition>| match position
        .unwrap()
        .r#type
        .unwrap()
    {
        seek_position::Type::Specified(specified) => specified.number,
        other => panic!("the client asked for {other:?}"),
    };
    ((number(seek.start), number(seek.stop), seek.behavior), header.tls_cert_hash)
}
