//! Starts and stops the whole ledger.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use gx_fabric_proto::MAX_MESSAGE_BYTES;
use gx_fabric_proto::gateway::gateway_server::GatewayServer;
use gx_fabric_proto::protos::deliver_server::DeliverServer;
use gx_model::SignerRole;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::Router;
use tonic::transport::{Identity as TlsIdentity, Server, ServerTlsConfig};

use crate::chaincode::{Chaincode, Chaincodes, Surroundings};
use crate::control::{self, Controls};
use crate::deliver::DeliverService;
use crate::faults::Faults;
use crate::gateway::GatewayService;
use crate::ledger::{
    Committer, Genesis, Judge, Orderer, OrdererGone, OtherChannel, Store, StoreError,
};
use crate::msp::{IdentityRequest, Organizations, PemIdentity};
use crate::node::{DELIVER_STREAMS, GATEWAY_CALLS, Node};
use crate::transport::{connections, endpoint};
use crate::{DevnetError, DevnetOptions, DumpError, DumpSummary, LedgerSnapshot, SnapshotError};

/// How long calls under way may take when the ledger stops.
const CLOSING_GRACE: Duration = Duration::from_secs(2);

pub(crate) const LEDGER_FILE: &str = "ledger.redb";

/// A running development ledger. Dropping it stops it without waiting; the data folder can
/// be opened again only after [`Devnet::stop`].
pub struct Devnet {
    endpoint: String,
    organizations: Organizations,
    users: [(SignerRole, PemIdentity); 3],
    faults: Faults,
    controls: Arc<Controls>,
    control: Option<SocketAddr>,
    /// Cancels everything when dropped.
    stopping: DropGuard,
    server: tokio::task::JoinHandle<()>,
    committer: JoinHandle<()>,
}

impl Devnet {
    /// Opens or makes the ledger in the data folder, and serves it.
    ///
    /// # Errors
    /// Says what is in the way and what to do about it.
    pub async fn start(options: DevnetOptions) -> Result<Self, DevnetError> {
        std::fs::create_dir_all(&options.data_dir)
            .map_err(|reason| DevnetError::DataDir { path: options.data_dir.clone(), reason })?;
        let cannot_listen = |reason| DevnetError::Listen { address: options.listen, reason };
        let listener = TcpListener::bind(options.listen).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let control_listener = match options.control {
            None => None,
            Some(address) => Some(control::listen(address).await?),
        };
        let path = options.data_dir.join(LEDGER_FILE);
        let store = Arc::new(Store::open(&path, options.fsync)?);
        let organizations = Organizations::open_or_create(&options.data_dir, options.fsync)?;
        let faults = Faults::new();
        let stopping = CancellationToken::new();
        let (node, committer) =
            build_node(&options, &path, &organizations, store, &faults, address, &stopping)?;
        let endpoint = node.address.clone();
        let controls = Arc::new(controls(&node, &options.data_dir));
        let control = match control_listener {
            None => None,
            Some(listener) => {
                let address = listener.local_addr().map_err(cannot_listen)?;
                control::serve(listener, Arc::downgrade(&controls), stopping.clone());
                Some(address)
            }
        };
        let router = router(node, &organizations, address)?;
        let incoming = connections(listener, faults.clone());
        let shutdown = stopping.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            if let Err(error) = router.serve_with_incoming_shutdown(incoming, shutdown).await {
                tracing::error!(%error, "the development ledger has stopped serving");
            }
        });
        let users = [SignerRole::PartnerApi, SignerRole::Admin, SignerRole::SuperAdmin];
        let users = [
            (users[0], organizations.user(users[0])?),
            (users[1], organizations.user(users[1])?),
            (users[2], organizations.user(users[2])?),
        ];
        let stopping = stopping.drop_guard();
        Ok(Self {
            endpoint,
            organizations,
            users,
            faults,
            controls,
            control,
            stopping,
            server,
            committer,
        })
    }

    /// `host:port` to connect to.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// The certificate that a TLS client must trust.
    pub fn tls_root_pem(&self) -> String {
        self.organizations.tls_root_pem().to_owned()
    }

    /// The signer with this role; [`Devnet::msp_dir`] is the folder that holds its files.
    pub fn identity(&self, role: SignerRole) -> PemIdentity {
        let found = self.users.iter().find(|(user, _)| *user == role);
        found.map(|(_, identity)| identity.clone()).expect("there is a user for every role")
    }

    /// The MSP folder of the signer with this role.
    pub fn msp_dir(&self, role: SignerRole) -> PathBuf {
        self.organizations.user_msp_dir(role)
    }

    /// A further certificate of the same organisation, with a new key.
    ///
    /// # Errors
    /// Where the request cannot stand in a certificate.
    pub fn issue_identity(&self, request: &IdentityRequest) -> Result<PemIdentity, DevnetError> {
        self.organizations.issue(request)
    }

    /// Makes this ledger misbehave.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Where the ledger is steered over HTTP, if it was started with such an address.
    pub fn control_endpoint(&self) -> Option<SocketAddr> {
        self.control
    }

    /// Makes a block now of everything submitted so far, whatever the cutting rule, and tells
    /// the height once it is committed. None: the ledger has failed.
    pub async fn cut_block(&self) -> Option<u64> {
        self.controls.cut_block().await.map_err(|OrdererGone| ()).ok()
    }

    /// Remembers the ledger as it is.
    ///
    /// # Errors
    /// Where there are too many snapshots, or the store has failed.
    pub async fn take_snapshot(&self) -> Result<LedgerSnapshot, SnapshotError> {
        self.controls.take_snapshot().await
    }

    /// Makes the ledger as it was at a snapshot, which can be returned to again. Later blocks
    /// and snapshots are gone, and so is what was submitted and stands in no block. Open
    /// streams end.
    ///
    /// # Errors
    /// Where there is no such snapshot, or the store has failed.
    pub async fn revert(&self, snapshot: u64) -> Result<LedgerSnapshot, SnapshotError> {
        self.controls.revert(snapshot).await
    }

    /// Writes the whole ledger, keys included, to a new file from which [`crate::load`] makes
    /// the same ledger elsewhere. Blocks go on being committed meanwhile.
    ///
    /// # Errors
    /// Where the file cannot be written, or the store has failed.
    pub async fn dump(&self, file: &Path) -> Result<DumpSummary, DumpError> {
        let (controls, file) = (Arc::clone(&self.controls), file.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            crate::dump::write_new_file(&file, |out| controls.dumper(out)())
        });
        written.await.unwrap_or_else(|error| Err(DumpError::Store(error.to_string())))
    }

    /// Refuses new calls, ends streams, commits what was submitted and closes the store.
    pub async fn stop(self) {
        let Self { stopping, mut server, committer, faults, controls, .. } = self;
        drop((stopping, controls));
        if tokio::time::timeout(CLOSING_GRACE, &mut server).await.is_err() {
            // A client that keeps its connection open must not keep the ledger open.
            faults.reset_connections();
            server.await.unwrap_or_else(|error| {
                tracing::error!(%error, "the development ledger's server ended badly");
            });
        }
        let joined = tokio::task::spawn_blocking(move || committer.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the development ledger's committing thread ended badly");
        }
    }
}

fn build_node(
    options: &DevnetOptions,
    path: &Path,
    organizations: &Organizations,
    store: Arc<Store>,
    faults: &Faults,
    address: SocketAddr,
    stopping: &CancellationToken,
) -> Result<(Arc<Node>, JoinHandle<()>), DevnetError> {
    let broken =
        |error: StoreError| DevnetError::Store { path: path.to_owned(), reason: error.to_string() };
    let genesis =
        Genesis { channel: &options.channel, roots: &organizations.roots(), clock: &options.clock };
    let orderer_signer = organizations.orderer_signer()?;
    let committer = Committer::open(&store, &genesis, orderer_signer, faults.clone())
        .map_err(broken)?
        .map_err(|OtherChannel(found)| DevnetError::OtherChannel {
            path: path.to_owned(),
            found,
            wanted: options.channel.clone(),
        })?;
    let (published, height) = watch::channel(committer.height());
    let (orderer, thread) =
        Orderer::start(options.cutting.clone(), faults, committer, Arc::clone(&store), published)
            .map_err(|reason| DevnetError::Thread { reason })?;
    let msp = Arc::new(organizations.msp()?);
    let chaincodes = Arc::new(chaincodes(options, stopping));
    let node = Node {
        channel: options.channel.clone(),
        address: endpoint(address),
        clock: options.clock.clone(),
        judge: Judge::new(&options.channel, Arc::clone(&chaincodes), Arc::clone(&msp)),
        chaincodes,
        msp,
        peer: organizations.peer_signer()?,
        store,
        orderer,
        height,
        faults: faults.clone(),
        stopping: stopping.clone(),
        gateway_calls: Arc::new(Semaphore::new(GATEWAY_CALLS)),
        deliver_streams: Arc::new(Semaphore::new(DELIVER_STREAMS)),
    };
    Ok((Arc::new(node), thread))
}

/// What is deployed: the GX contracts and the services.
fn chaincodes(options: &DevnetOptions, stopping: &CancellationToken) -> Chaincodes {
    let surroundings = Surroundings {
        runtime: Handle::current(),
        stopping: stopping.clone(),
        execute_timeout: options.execute_timeout,
    };
    let services = options.services.iter();
    let services =
        services.map(|service| Chaincode::service(service.clone(), surroundings.clone()));
    Chaincodes::new(std::iter::once(Chaincode::built_in(&options.chaincode)).chain(services))
}

fn controls(node: &Node, data_dir: &Path) -> Controls {
    Controls {
        channel: node.channel.clone(),
        data_dir: data_dir.to_owned(),
        clock: node.clock.clone(),
        faults: node.faults.clone(),
        store: Arc::clone(&node.store),
        orderer: node.orderer.clone(),
        height: node.height.clone(),
    }
}

fn router(
    node: Arc<Node>,
    organizations: &Organizations,
    address: SocketAddr,
) -> Result<Router, DevnetError> {
    let tls = organizations.issue_tls_server(address.ip())?;
    let tls = TlsIdentity::from_pem(tls.certificate_pem, tls.private_key_pem);
    let gateway = GatewayServer::new(GatewayService(Arc::clone(&node)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let deliver = DeliverServer::new(DeliverService(node))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let server = Server::builder().tls_config(ServerTlsConfig::new().identity(tls));
    Ok(server.map_err(DevnetError::Tls)?.add_service(gateway).add_service(deliver))
}
