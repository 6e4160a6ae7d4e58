//! Starts and stops the whole ledger.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use gx_model::SignerRole;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::build::{build_node, controls};
use crate::clients;
use crate::control::{self, Controls};
use crate::faults::Faults;
use crate::ledger::{OrdererGone, Store};
use crate::msp::{CHANNEL_MSP_IDS, IdentityRequest, Organizations, PemIdentity, user_name};
use crate::node::{DELIVER_STREAMS, Peer};
use crate::servers::{Listeners, Servers};
use crate::{DevnetError, DevnetOptions, DumpError, DumpSummary, LedgerSnapshot, SnapshotError};

/// How long calls under way may take when the ledger stops.
const CLOSING_GRACE: Duration = Duration::from_secs(2);

pub(crate) const LEDGER_FILE: &str = "ledger.redb";

/// A running development ledger. Dropping it stops it without waiting; the data folder can
/// be opened again only after [`Devnet::stop`].
pub struct Devnet {
    peers: Vec<PeerEndpoint>,
    served: Vec<Arc<Peer>>,
    orderer_endpoint: String,
    organizations: Organizations,
    users: [(SignerRole, PemIdentity); 3],
    faults: Faults,
    pub(crate) controls: Arc<Controls>,
    control: Option<SocketAddr>,
    /// Cancels everything when dropped.
    stopping: DropGuard,
    servers: Vec<tokio::task::JoinHandle<()>>,
    committer: JoinHandle<()>,
}

/// How a client reaches a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEndpoint {
    /// The organisation's MSP.
    pub msp_id: String,
    /// `host:port`.
    pub endpoint: String,
    /// The certificate that a TLS client must trust.
    pub tls_root_pem: String,
}

impl Devnet {
    /// Opens or makes the ledger in the data folder, and serves it.
    ///
    /// # Errors
    /// Says what is in the way and what to do about it.
    pub async fn start(options: DevnetOptions) -> Result<Self, DevnetError> {
        std::fs::create_dir_all(&options.data_dir)
            .map_err(|reason| DevnetError::DataDir { path: options.data_dir.clone(), reason })?;
        let listeners = Listeners::bind(&options).await?;
        let control_listener = match options.control {
            None => None,
            Some(address) => Some(control::listen(address).await?),
        };
        let path = options.data_dir.join(LEDGER_FILE);
        let store = Arc::new(Store::open(&path, options.fsync)?);
        let organizations = Organizations::open_or_create(&options.data_dir, options.fsync)?;
        let faults = Faults::new();
        let stopping = CancellationToken::new();
        // From here on whatever fails must not leave half a ledger running.
        let stop_all = stopping.clone().drop_guard();
        let (node, committer) =
            build_node(&options, &path, &organizations, store, &faults, &listeners, &stopping)?;
        let controls = Arc::new(controls(&node, &options.data_dir));
        let control = match control_listener {
            None => None,
            Some(listener) => {
                let address = listener.local_addr();
                control::serve(listener, Arc::downgrade(&controls), stopping.clone());
                address.ok()
            }
        };
        let peers =
            organizations.in_channel().zip(&node.peers).map(|(organization, peer)| PeerEndpoint {
                msp_id: organization.msp_id.to_owned(),
                endpoint: peer.address.clone(),
                tls_root_pem: organization.tls_root_pem().to_owned(),
            });
        let peers = peers.collect();
        let servers = Servers { node: Arc::clone(&node), organizations: &organizations };
        let servers = servers.start(listeners)?;
        clients::write(&options, &node, &organizations)?;
        let own = |role| organizations.user(CHANNEL_MSP_IDS[0], user_name(role));
        let roles = [SignerRole::PartnerApi, SignerRole::Admin, SignerRole::SuperAdmin];
        let users =
            [(roles[0], own(roles[0])?), (roles[1], own(roles[1])?), (roles[2], own(roles[2])?)];
        Ok(Self {
            peers,
            served: node.peers.clone(),
            orderer_endpoint: node.orderer_address.clone(),
            organizations,
            users,
            faults,
            controls,
            control,
            stopping: stop_all,
            servers,
            committer,
        })
    }

    /// The peers of the channel, one of each organisation.
    pub fn peers(&self) -> &[PeerEndpoint] {
        &self.peers
    }

    /// `host:port` of the orderer.
    pub fn orderer_endpoint(&self) -> String {
        self.orderer_endpoint.clone()
    }

    /// `host:port` of the peer of Org1MSP.
    pub fn endpoint(&self) -> String {
        self.peers[0].endpoint.clone()
    }

    /// The certificate that a TLS client of that peer must trust.
    pub fn tls_root_pem(&self) -> String {
        self.peers[0].tls_root_pem.clone()
    }

    /// The signer of Org1MSP with this role; [`Devnet::msp_dir`] is the folder that holds its
    /// files.
    pub fn identity(&self, role: SignerRole) -> PemIdentity {
        let found = self.users.iter().find(|(user, _)| *user == role);
        found.map(|(_, identity)| identity.clone()).expect("there is a user for every role")
    }

    /// The MSP folder of the signer with this role.
    pub fn msp_dir(&self, role: SignerRole) -> PathBuf {
        let dir = self.organizations.user_msp_dir(CHANNEL_MSP_IDS[0], user_name(role));
        dir.expect("Org1MSP has users")
    }

    /// A user of one of the three organisations: User1, Admin, or the name of a role's signer.
    ///
    /// # Errors
    /// Where there is no such user.
    pub fn user(&self, msp_id: &str, name: &str) -> Result<PemIdentity, DevnetError> {
        self.organizations.user(msp_id, name)
    }

    /// A further certificate of Org1MSP, with a new key.
    ///
    /// # Errors
    /// Where the request cannot stand in a certificate.
    pub fn issue_identity(&self, request: &IdentityRequest) -> Result<PemIdentity, DevnetError> {
        self.organizations.issue(CHANNEL_MSP_IDS[0], request)
    }

    /// Makes this ledger misbehave.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Where the ledger is steered over HTTP, if it was started with such an address.
    pub fn control_endpoint(&self) -> Option<SocketAddr> {
        self.control
    }

    /// Block streams that callers hold open, at all peers together. A peer serves 2 500.
    pub fn open_block_streams(&self) -> usize {
        let free = |peer: &Arc<Peer>| peer.deliver_streams.available_permits();
        self.served.iter().map(|peer| DELIVER_STREAMS - free(peer)).sum()
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
        let Self { stopping, servers, committer, faults, controls, .. } = self;
        drop((stopping, controls));
        let deadline = Instant::now() + CLOSING_GRACE;
        for mut server in servers {
            if tokio::time::timeout_at(deadline, &mut server).await.is_err() {
                // A client that keeps its connection open must not keep the ledger open.
                faults.reset_connections();
                server.await.unwrap_or_else(|error| {
                    tracing::error!(%error, "a server of the development ledger ended badly");
                });
            }
        }
        let joined = tokio::task::spawn_blocking(move || committer.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the development ledger's committing thread ended badly");
        }
    }
}
