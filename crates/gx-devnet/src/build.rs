//! Assembles the parts of a ledger. Called by `Devnet::start`, which stops everything again after
//! an error.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::chaincode::{Chaincode, Chaincodes, ProcessContext};
use crate::control::Controls;
use crate::definitions;
use crate::faults::Faults;
use crate::ledger::{
    ChannelConfig, Committer, Genesis, Orderer, OrganizationConfig, OtherChannel, Store,
    StoreError, Validator,
};
use crate::msp::{CHANNEL_MSP_IDS, Organization, Organizations};
use crate::node::Node;
use crate::servers::Listeners;
use crate::{DevnetError, DevnetOptions, SignaturePolicy};

/// Returns the ledger that all services share, and the thread that commits to it.
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
        validator: Validator::new(&options.channel, chaincodes.definitions(), Arc::clone(&msp)),
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

/// Returns the deployed chaincodes: the GX contracts and the services, each with its policy from
/// the options or the channel's default.
fn chaincodes(options: &DevnetOptions, stopping: &CancellationToken) -> Chaincodes {
    let policy = |name: &str| {
        let own = options.policies.get(name).cloned();
        own.unwrap_or_else(|| SignaturePolicy::majority_of_peers(CHANNEL_MSP_IDS))
    };
    let context = ProcessContext {
        runtime: Handle::current(),
        stopping: stopping.clone(),
        execute_timeout: options.execute_timeout,
    };
    let collections = |name: &str| options.collections.get(name).cloned().unwrap_or_default();
    let (name, contract) = (&options.chaincode, Arc::clone(&options.contract));
    let built_in = Chaincode::built_in(name, policy(name), contract);
    let services = options.services.iter().map(|service| {
        Chaincode::service(service.clone(), policy(&service.name), context.clone())
            .with_collections(collections(&service.name))
    });
    Chaincodes::new(std::iter::once(built_in).chain(services))
}

/// Returns the configuration with which the channel is created, if it does not exist.
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

/// Returns the parts of the ledger that the control endpoint uses.
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
