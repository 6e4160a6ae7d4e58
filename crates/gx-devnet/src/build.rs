//! Puts the parts of a ledger together.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::chaincode::{Chaincode, Chaincodes, Surroundings, definitions};
use crate::control::Controls;
use crate::faults::Faults;
use crate::ledger::{
    ChannelConfig, Committer, Genesis, Judge, Orderer, OrganizationConfig, OtherChannel, Store,
    StoreError,
};
use crate::msp::{CHANNEL_MSP_IDS, Organization, Organizations};
use crate::node::Node;
use crate::servers::Listeners;
use crate::{DevnetError, DevnetOptions, SignaturePolicy};

/// The ledger behind all services, and the thread that commits to it.
pub(crate) fn build_node(
    options: &DevnetOptions,
    path: &Path,
    organizations: &Organizations,
    store: Arc<Store>,
    faults: &Faults,
    listeners: &Listeners,
    stopping: &CancellationToken,
) -> Result<(Arc<Node>, JoinHandle<()>), DevnetError> {
    definitions::check(options)?;
    let broken =
        |error: StoreError| DevnetError::Store { path: path.to_owned(), reason: error.to_string() };
    let config = channel_config(options, organizations, listeners);
    let genesis = Genesis { config: &config, clock: &options.clock };
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
        peers: listeners.peers(organizations, &msp, faults)?,
        orderer_address: listeners.orderer_address(),
        clock: options.clock.clone(),
        judge: Judge::new(&options.channel, Arc::clone(&chaincodes), Arc::clone(&msp)),
        chaincodes,
        msp,
        store,
        orderer,
        height,
        faults: faults.clone(),
        stopping: stopping.clone(),
    };
    Ok((Arc::new(node), thread))
}

/// What is deployed: the GX contracts and the services, with the policies that were asked for
/// or the channel's own.
fn chaincodes(options: &DevnetOptions, stopping: &CancellationToken) -> Chaincodes {
    let policy = |name: &str| {
        let own = options.policies.get(name).cloned();
        own.unwrap_or_else(|| SignaturePolicy::majority_of_peers(CHANNEL_MSP_IDS))
    };
    let surroundings = Surroundings {
        runtime: Handle::current(),
        stopping: stopping.clone(),
        execute_timeout: options.execute_timeout,
    };
    let collections = |name: &str| options.collections.get(name).cloned().unwrap_or_default();
    let built_in = Chaincode::built_in(&options.chaincode, policy(&options.chaincode));
    let services = options.services.iter().map(|service| {
        Chaincode::service(service.clone(), policy(&service.name), surroundings.clone())
            .with_collections(collections(&service.name))
    });
    Chaincodes::new(std::iter::once(built_in).chain(services))
}

/// How the channel begins, where it does not exist yet.
fn channel_config(
    options: &DevnetOptions,
    organizations: &Organizations,
    listeners: &Listeners,
) -> ChannelConfig {
    let describe = |organization: &Organization, address| OrganizationConfig {
        msp_id: organization.msp_id,
        root_pem: organization.root_pem().to_owned(),
        tls_root_pem: organization.tls_root_pem().to_owned(),
        address,
    };
    let peers = organizations.in_channel().zip(listeners.peer_addresses());
    ChannelConfig {
        channel: options.channel.clone(),
        orderer: describe(organizations.orderer(), listeners.orderer_address()),
        organizations: peers.map(|(peer, address)| describe(peer, address)).collect(),
        cutting: options.cutting.clone(),
    }
}

/// What can be steered.
pub(crate) fn controls(node: &Node, data_dir: &Path) -> Controls {
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
