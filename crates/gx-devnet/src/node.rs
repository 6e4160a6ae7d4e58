//! What every service of the process shares, and what each peer has of its own.

use std::sync::Arc;

use gx_model::Clock;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::chaincode::Chaincodes;
use crate::faults::{Faults, NodeFaults};
use crate::ledger::{CollectionUse, Judge, Orderer, Store};
use crate::msp::{Identity, Msp, Signer};

/// Gateway calls at once, open event streams and waits for a commit included.
pub(crate) const GATEWAY_CALLS: usize = 500;
/// Deliver streams at once.
pub(crate) const DELIVER_STREAMS: usize = 2_500;

/// The peers with their orderer: one ledger, which all of them show.
pub(crate) struct Node {
    pub(crate) channel: String,
    pub(crate) chaincodes: Arc<Chaincodes>,
    /// In the order of their organisations in the channel.
    pub(crate) peers: Vec<Arc<Peer>>,
    /// `host:port` of the orderer, as it stands in error details.
    pub(crate) orderer_address: String,
    pub(crate) clock: Clock,
    pub(crate) msp: Arc<Msp>,
    pub(crate) store: Arc<Store>,
    pub(crate) judge: Judge,
    pub(crate) orderer: Orderer,
    pub(crate) height: watch::Receiver<u64>,
    pub(crate) faults: Faults,
    pub(crate) stopping: CancellationToken,
}

impl Node {
    /// Whether a peer holds the private data that a transaction takes part in.
    pub(crate) fn holds(&self, peer: &Peer, part: &CollectionUse) -> bool {
        let chaincode = self.chaincodes.get(&part.namespace);
        let collection = chaincode.and_then(|it| it.collections.get(&part.name));
        collection.is_some_and(|collection| collection.is_held_by(peer.msp_id))
    }
}

/// One organisation's peer.
pub(crate) struct Peer {
    /// Its place among the peers.
    pub(crate) place: usize,
    pub(crate) msp_id: &'static str,
    /// `host:port`, as it stands in error details.
    pub(crate) address: String,
    /// Signs its endorsements.
    pub(crate) signer: Signer,
    pub(crate) identity: Arc<Identity>,
    pub(crate) faults: NodeFaults,
    pub(crate) gateway_calls: Arc<Semaphore>,
    pub(crate) deliver_streams: Arc<Semaphore>,
}
