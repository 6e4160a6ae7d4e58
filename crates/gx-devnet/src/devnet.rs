//! Starts and stops the whole ledger. Called by `gx devnet`, `gx dev`, the benchmarks, the
//! simulation and tests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use gx_ledger_api::SignerRole;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::build::{build_node, controls};
use crate::clients;
use crate::control::{self, Controls};
use crate::faults::Faults;
use crate::ledger::{LEDGER_FILE, OrdererGone, Store};
use crate::msp::{CHANNEL_MSP_IDS, IdentityRequest, Organizations, PemIdentity, user_name};
use crate::node::{DELIVER_STREAMS, Peer};
use crate::servers::{Listeners, Servers};
use crate::{DevnetError, DevnetOptions, DumpError, DumpSummary, LedgerSnapshot, SnapshotError};

/// Time limit of running calls when the ledger stops.
const CLOSING_GRACE: Duration = Duration::from_secs(2);

/// A running development ledger. Dropping it stops it without waiting; the data folder can be
/// opened again only after [`Devnet::stop`].
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

/// The address and the TLS root of a peer.
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
    /// Opens the ledger in the data folder, or creates it, and serves it.
    ///
    /// # Errors
    /// [`DevnetError`] says what is wrong and what to do. Everything that was started is stopped.
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
        // If a later step fails, everything that has started is stopped.
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

    /// Returns the peers of the channel, one of each organisation.
    pub fn peers(&self) -> &[PeerEndpoint] {
        &self.peers
    }

    /// Returns `host:port` of the orderer.
    pub fn orderer_endpoint(&self) -> String {
        self.orderer_endpoint.clone()
    }

    /// Returns `host:port` of the peer of Org1MSP.
    pub fn endpoint(&self) -> String {
        self.peers[0].endpoint.clone()
    }

    /// Returns the certificate that a TLS client of the peer of Org1MSP must trust.
    pub fn tls_root_pem(&self) -> String {
        self.peers[0].tls_root_pem.clone()
    }

    /// Returns the signer of Org1MSP with this role. Its files are in [`Devnet::msp_dir`].
    pub fn identity(&self, role: SignerRole) -> PemIdentity {
        let found = self.users.iter().find(|(user, _)| *user == role);
        found.map(|(_, identity)| identity.clone()).expect("there is a user for every role")
    }

    /// Returns the MSP folder of the signer with this role.
    pub fn msp_dir(&self, role: SignerRole) -> PathBuf {
        let dir = self.organizations.user_msp_dir(CHANNEL_MSP_IDS[0], user_name(role));
        dir.expect("Org1MSP has users")
    }

    /// Returns a user of one of the three organisations. `name` is User1, Admin, or the name of a
    /// role's signer.
    ///
    /// # Errors
    /// [`DevnetError`] if there is no such user.
    pub fn user(&self, msp_id: &str, name: &str) -> Result<PemIdentity, DevnetError> {
        self.organizations.user(msp_id, name)
    }

    /// Returns another certificate of Org1MSP, with a new key.
    ///
    /// # Errors
    /// [`DevnetError`] if the request is not valid in a certificate.
    pub fn issue_identity(&self, request: &IdentityRequest) -> Result<PemIdentity, DevnetError> {
        self.organizations.issue(CHANNEL_MSP_IDS[0], request)
    }

    /// Returns the handle that injects faults.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Returns the address of the control endpoint, if the ledger has one.
    pub fn control_endpoint(&self) -> Option<SocketAddr> {
        self.control
    }

    /// Returns the number of block streams that callers have open at all peers.
    pub fn open_block_streams(&self) -> usize {
        let free = |peer: &Arc<Peer>| peer.deliver_streams.available_permits();
        self.served.iter().map(|peer| DELIVER_STREAMS - free(peer)).sum()
    }

    /// Cuts a block of everything submitted so far, whatever the cutting rule is, and returns the
    /// height after its commit. Returns `None` if the ledger has failed.
    pub async fn cut_block(&self) -> Option<u64> {
        self.controls.cut_block().await.map_err(|OrdererGone| ()).ok()
    }

    /// Takes a snapshot of the ledger.
    ///
    /// # Errors
    /// [`SnapshotError`] if there are too many snapshots or the store has failed.
    pub async fn take_snapshot(&self) -> Result<LedgerSnapshot, SnapshotError> {
        self.controls.take_snapshot().await
    }

    /// Returns the ledger to a snapshot, which is kept. Later blocks and snapshots are deleted, as
    /// well as submitted envelopes that are in no block. Open streams end.
    ///
    /// # Errors
    /// [`SnapshotError`] if there is no such snapshot or the store has failed.
    pub async fn revert(&self, snapshot: u64) -> Result<LedgerSnapshot, SnapshotError> {
        self.controls.revert(snapshot).await
    }

    /// Writes the whole ledger with its keys to a new file, from which [`crate::load`] makes the
    /// same ledger elsewhere. Commits continue meanwhile.
    ///
    /// # Errors
    /// [`DumpError`] if the file cannot be written or the store has failed.
    pub async fn dump(&self, file: &Path) -> Result<DumpSummary, DumpError> {
        let (controls, file) = (Arc::clone(&self.controls), file.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            crate::dump::write_new_file(&file, |out| controls.dumper(out)())
        });
        written.await.unwrap_or_else(|error| Err(DumpError::Store(error.to_string())))
    }

    /// Stops the ledger: refuses new calls, ends streams, commits what was submitted and closes the
    /// store. A server or thread that panicked is logged.
    pub async fn stop(self) {
        let Self { stopping, servers, committer, faults, controls, .. } = self;
        drop((stopping, controls));
        let deadline = Instant::now() + CLOSING_GRACE;
        for mut server in servers {
            if tokio::time::timeout_at(deadline, &mut server).await.is_err() {
                // A client that keeps its connection open must not keep the ledger running.
                faults.reset_connections();
                server.await.unwrap_or_else(|error| {
                    tracing::error!(%error, "a server of the development ledger panicked; report `error`");
                });
            }
        }
        let joined = tokio::task::spawn_blocking(move || committer.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!(
                "the development ledger's committing thread panicked; report the panic above"
            );
        }
    }
}
