//! What every service of the process shares.

use std::sync::Arc;

use gx_model::Clock;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::chaincode::Chaincodes;
use crate::faults::Faults;
use crate::ledger::{Judge, Orderer, Store};
use crate::msp::{Msp, Signer};

/// Gateway calls at once, open event streams and waits for a commit included.
pub(crate) const GATEWAY_CALLS: usize = 500;
/// Deliver streams at once.
pub(crate) const DELIVER_STREAMS: usize = 2_500;

/// One peer with its orderer.
pub(crate) struct Node {
    pub(crate) channel: String,
    pub(crate) chaincodes: Arc<Chaincodes>,
    /// `host:port`, as it stands in error details.
    pub(crate) address: String,
    pub(crate) clock: Clock,
    pub(crate) msp: Arc<Msp>,
    pub(crate) peer: Signer,
    pub(crate) store: Arc<Store>,
    pub(crate) judge: Judge,
    pub(crate) orderer: Orderer,
    pub(crate) height: watch::Receiver<u64>,
    pub(crate) faults: Faults,
    pub(crate) stopping: CancellationToken,
    pub(crate) gateway_calls: Arc<Semaphore>,
    pub(crate) deliver_streams: Arc<Semaphore>,
}
