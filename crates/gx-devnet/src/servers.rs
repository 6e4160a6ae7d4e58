//! The listeners and servers of peers and orderer. `Devnet::start` binds the listeners first, so
//! that a port in use prevents the start, and starts the servers last.

use std::net::SocketAddr;
use std::sync::Arc;

use gx_fabric_proto::MAX_MESSAGE_BYTES;
use gx_fabric_proto::gateway::gateway_server::{self, GatewayServer};
use gx_fabric_proto::orderer::atomic_broadcast_server::{self, AtomicBroadcastServer};
use gx_fabric_proto::protos::deliver_server::{self, DeliverServer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::transport::server::Router;
use tonic::transport::{Identity as TlsIdentity, Server, ServerTlsConfig};

use crate::deliver::DeliverService;
use crate::faults::{Faults, NodeFaults};
use crate::gateway::GatewayService;
use crate::msp::{CHANNEL_MSP_IDS, Organizations, PemIdentity, TrustedRoots};
use crate::node::{DELIVER_STREAMS, GATEWAY_CALLS, Node, Peer};
use crate::ordering::OrderingService;
use crate::transport::{connections, endpoint};
use crate::unimplemented::named;
use crate::{DevnetError, DevnetOptions};

/// The bound listeners of all nodes, before they are served.
pub(crate) struct Listeners {
    /// In the order of [`CHANNEL_MSP_IDS`].
    peers: Vec<Bound>,
    orderer: Bound,
}

struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    async fn bind(address: SocketAddr) -> Result<Self, DevnetError> {
        let cannot_listen = |reason| DevnetError::Listen { address, reason };
        let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        Ok(Self { listener, address })
    }
}

impl Listeners {
    /// Binds the addresses of all nodes.
    pub(crate) async fn bind(options: &DevnetOptions) -> Result<Self, DevnetError> {
        let peers =
            vec![Bound::bind(options.listen).await?, Bound::bind(options.listen_org2).await?];
        Ok(Self { peers, orderer: Bound::bind(options.listen_orderer).await? })
    }

    pub(crate) fn peer_addresses(&self) -> impl Iterator<Item = String> {
        self.peers.iter().map(|bound| endpoint(bound.address))
    }

    pub(crate) fn orderer_address(&self) -> String {
        endpoint(self.orderer.address)
    }

    /// Returns the peers of these listeners.
    pub(crate) fn peers(
        &self,
        organizations: &Organizations,
        msp: &TrustedRoots,
        faults: &Faults,
    ) -> Result<Vec<Arc<Peer>>, DevnetError> {
        let peers = CHANNEL_MSP_IDS.into_iter().zip(&self.peers).enumerate();
        let peers = peers.map(|(place, (msp_id, bound))| {
            let signer = organizations.peer_signer(msp_id)?;
            let identity = msp.verify_identity(signer.creator()).map_err(|_refused| {
                organizations.broken("a peer's certificate was not issued by its organisation")
            })?;
            Ok(Arc::new(Peer {
                place,
                msp_id,
                address: endpoint(bound.address),
                signer,
                identity,
                faults: faults.peer(msp_id).expect("there are faults for every peer"),
                gateway_calls: Arc::new(Semaphore::new(GATEWAY_CALLS)),
                deliver_streams: Arc::new(Semaphore::new(DELIVER_STREAMS)),
            }))
        });
        peers.collect()
    }
}

/// Starts the servers of all nodes.
pub(crate) struct Servers<'a> {
    pub(crate) node: Arc<Node>,
    pub(crate) organizations: &'a Organizations,
}

impl Servers<'_> {
    /// Serves every node until the ledger stops.
    pub(crate) fn start(&self, listeners: Listeners) -> Result<Vec<JoinHandle<()>>, DevnetError> {
        let mut servers = Vec::new();
        for (peer, bound) in self.node.peers.iter().zip(listeners.peers) {
            let tls = self.organizations.issue_peer_tls(peer.msp_id, bound.address.ip())?;
            let router = self.peer_router(peer, &tls)?;
            servers.push(self.serve(router, bound, &peer.faults));
        }
        let orderer = listeners.orderer;
        let tls = self.organizations.issue_orderer_tls(orderer.address.ip())?;
        let faults = self.node.faults.orderer();
        let router = self.orderer_router(&faults, &tls)?;
        servers.push(self.serve(router, orderer, &faults));
        Ok(servers)
    }

    /// Serves one node until the ledger stops; a server that fails is logged.
    fn serve(&self, router: Router, bound: Bound, faults: &NodeFaults) -> JoinHandle<()> {
        let address = bound.address;
        let incoming = connections(bound.listener, address, faults);
        let shutdown = self.node.stopping.clone().cancelled_owned();
        tokio::spawn(async move {
            if let Err(error) = router.serve_with_incoming_shutdown(incoming, shutdown).await {
                tracing::error!(
                    %error, %address,
                    "the node at {address} has stopped serving; restart the development ledger"
                );
            }
        })
    }

    /// Returns the services of a peer.
    fn peer_router(&self, peer: &Arc<Peer>, tls: &PemIdentity) -> Result<Router, DevnetError> {
        let (node, peer) = (|| Arc::clone(&self.node), || Arc::clone(peer));
        let gateway = GatewayServer::new(GatewayService { node: node(), peer: peer() })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let deliver = DeliverServer::new(DeliverService { node: node(), peer: peer() })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let routes = Routes::new(gateway).add_service(deliver);
        Ok(server(tls)?.add_routes(named(
            routes,
            &[gateway_server::SERVICE_NAME, deliver_server::SERVICE_NAME],
        )))
    }

    /// Returns the service of the orderer.
    fn orderer_router(
        &self,
        faults: &NodeFaults,
        tls: &PemIdentity,
    ) -> Result<Router, DevnetError> {
        let (node, faults) = (Arc::clone(&self.node), faults.clone());
        let ordering = AtomicBroadcastServer::new(OrderingService { node, faults })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let routes = named(Routes::new(ordering), &[atomic_broadcast_server::SERVICE_NAME]);
        Ok(server(tls)?.add_routes(routes))
    }
}

/// Returns a server with this TLS certificate.
fn server(tls: &PemIdentity) -> Result<Server, DevnetError> {
    let tls = TlsIdentity::from_pem(&tls.certificate_pem, &tls.private_key_pem);
    let server = Server::builder().tls_config(ServerTlsConfig::new().identity(tls));
    server.map_err(DevnetError::Tls)
}
