//! The state that all services of the process share, and the state of each peer. Made by `build` at
//! the start; each service checks callers with the methods here.

use std::sync::Arc;
use std::time::Duration;

use gx_ledger_api::Clock;
use prost_types::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::chaincode::Chaincodes;
use crate::channel_policies::{Policy, to_time};
use crate::faults::{Faults, NodeFaults};
use crate::ledger::{CollectionUse, Orderer, Store, Validator};
use crate::msp::{Identity, Signer, TrustedRoots, UntrustedIdentity};
use crate::proposal::Unpacked;

/// Limit of concurrent gateway calls at a peer, including event streams and waits for a commit.
pub(crate) const GATEWAY_CALLS: usize = 500;
/// Limit of concurrent Deliver streams at a peer.
pub(crate) const DELIVER_STREAMS: usize = 2_500;

/// Limit of the difference between a client's clock and ours (`peer.authentication.timewindow`).
const TIME_WINDOW: Duration = Duration::from_mins(15);

/// The peers and the orderer, which share one ledger.
pub(crate) struct Node {
    pub(crate) channel: String,
    pub(crate) chaincodes: Arc<Chaincodes>,
    /// In the order of the channel's organisations.
    pub(crate) peers: Vec<Arc<Peer>>,
    /// `host:port` of the orderer, as in error details.
    pub(crate) orderer_address: String,
    pub(crate) clock: Clock,
    pub(crate) msp: Arc<TrustedRoots>,
    pub(crate) store: Arc<Store>,
    pub(crate) validator: Validator,
    pub(crate) orderer: Orderer,
    pub(crate) height: watch::Receiver<u64>,
    pub(crate) faults: Faults,
    pub(crate) stopping: CancellationToken,
}

impl Node {
    /// Returns whether a peer holds the private data that a transaction uses.
    pub(crate) fn holds(&self, peer: &Peer, part: &CollectionUse) -> bool {
        let chaincode = self.chaincodes.get(&part.namespace);
        let collection = chaincode.and_then(|it| it.collections.get(&part.name));
        collection.is_some_and(|collection| collection.is_held_by(peer.msp_id))
    }

    /// Checks that these bytes are signed by a creator who satisfies the policy now. The error is a
    /// peer's message.
    pub(crate) fn check_signed(
        &self,
        policy: Policy,
        creator: &[u8],
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), String> {
        let admitted = self.msp.verify_identity(creator).is_ok_and(|identity| {
            !identity.is_expired(self.clock.now())
                && policy.admits(&identity)
                && identity.has_signed(signed, signature)
        });
        if admitted { Ok(()) } else { Err(policy.refusal(&self.channel)) }
    }

    /// Checks that the client's time is close enough to ours. The error is a peer's message.
    pub(crate) fn check_timestamp(&self, timestamp: Option<&Timestamp>) -> Result<(), String> {
        let now = self.clock.now();
        let time = timestamp.and_then(to_time);
        if time.is_some_and(|time| (time - now).unsigned_abs() <= TIME_WINDOW) {
            return Ok(());
        }
        let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Err(format!(
            "request unauthorized due to incorrect timestamp {}, peer time {}, \
             peer.authentication.timewindow 15m0s",
            seconds(time),
            seconds(now)
        ))
    }

    /// Makes the checks of a peer's filters: the certificate's expiry and the client's clock. The
    /// error is a peer's message.
    pub(crate) fn check_filters(&self, proposal: &Unpacked) -> Result<(), String> {
        let identity = self.msp.verify_identity(&proposal.signature_header.creator);
        if identity.is_ok_and(|identity| identity.is_expired(self.clock.now())) {
            return Err("proposal client identity expired".to_owned());
        }
        self.check_timestamp(proposal.channel.timestamp.as_ref())
    }

    /// Validates the proposal, except for the uniqueness of its id. The error is a peer's message.
    pub(crate) fn validate_proposal(&self, proposal: &Unpacked) -> Result<Arc<Identity>, String> {
        proposal
            .check_headers()
            .map_err(|reason| format!("error validating proposal: {reason}"))?;
        let channel = &proposal.channel.channel_id;
        let creator = self.msp.verify_identity(&proposal.signature_header.creator);
        let creator = creator.map_err(|UntrustedIdentity| {
            format!(
                "error validating proposal: access denied: channel [{channel}] creator org \
                 unknown, creator is malformed"
            )
        })?;
        let signed =
            creator.has_signed(&proposal.signed.proposal_bytes, &proposal.signed.signature);
        if creator.role.is_none() || !signed {
            return Err(format!(
                "error validating proposal: access denied: channel [{channel}] creator org [{}]",
                creator.msp_id
            ));
        }
        Ok(creator)
    }
}

/// Returns a time without fractions of a second, as in a peer's messages.
fn seconds(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_default()
}

/// The peer of one organisation.
pub(crate) struct Peer {
    /// Its index among the peers.
    pub(crate) place: usize,
    pub(crate) msp_id: &'static str,
    /// `host:port`, as in error details.
    pub(crate) address: String,
    /// The signer of its endorsements.
    pub(crate) signer: Signer,
    pub(crate) identity: Arc<Identity>,
    pub(crate) faults: NodeFaults,
    pub(crate) gateway_calls: Arc<Semaphore>,
    pub(crate) deliver_streams: Arc<Semaphore>,
}
