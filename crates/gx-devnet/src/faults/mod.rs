//! Faults on request, so that a client's behaviour in each can be tested.

mod node;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gx_fabric_proto::protos::TxValidationCode;
use tokio::sync::watch;

pub use node::NodeFaults;
pub(crate) use node::{Link, Unreachable};

use crate::msp::CHANNEL_MSP_IDS;

/// A handle that makes a running development ledger misbehave. Clones act on the same ledger.
#[derive(Clone, Debug)]
pub struct Faults {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    plan: Mutex<Plan>,
    commits_held: watch::Sender<bool>,
    cut_requests: watch::Sender<u64>,
    /// By the MSP ids of their organisations.
    peers: Vec<(&'static str, NodeFaults)>,
    orderer: NodeFaults,
}

#[derive(Debug, Default)]
struct Plan {
    endorse_delay: Duration,
    endorsement_failures: VecDeque<(i32, String)>,
    mismatches: usize,
    submits: VecDeque<SubmitFault>,
    validation_codes: VecDeque<TxValidationCode>,
    events: VecDeque<RawEvent>,
}

/// What becomes of one Submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubmitFault {
    /// Ordered, but the answer is a lost connection.
    ReplyLost,
    /// Ordered, but there is no answer.
    ReplyWithheld,
    /// Acknowledged, but not ordered.
    Discarded,
}

/// A chaincode event as bytes, whatever they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawEvent {
    pub(crate) name: String,
    pub(crate) payload: Vec<u8>,
}

impl Faults {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            plan: Mutex::default(),
            commits_held: watch::Sender::new(false),
            cut_requests: watch::Sender::new(0),
            peers: CHANNEL_MSP_IDS.map(|msp_id| (msp_id, NodeFaults::new())).into(),
            orderer: NodeFaults::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Ends every fault, also those that wait for a call to come.
    pub fn clear(&self) {
        *self.plan() = Plan::default();
        self.release_commits();
        for node in self.inner.peers.iter().map(|(_, peer)| peer).chain([&self.inner.orderer]) {
            node.clear();
        }
    }

    /// Makes the peer of one organisation misbehave; none where it has no peer in the channel.
    pub fn peer(&self, msp_id: &str) -> Option<NodeFaults> {
        let found = self.inner.peers.iter().find(|(peer, _)| *peer == msp_id);
        found.map(|(_, faults)| faults.clone())
    }

    /// Makes the orderer misbehave.
    pub fn orderer(&self) -> NodeFaults {
        self.inner.orderer.clone()
    }

    /// The orderer takes envelopes but makes no block until [`Faults::release_commits`].
    pub fn hold_commits(&self) {
        self.inner.commits_held.send_replace(true);
    }

    /// Makes the blocks that were held back, and goes on as configured.
    pub fn release_commits(&self) {
        self.inner.commits_held.send_replace(false);
    }

    /// Makes one block now of everything submitted so far, whatever the cutting rule.
    pub fn cut_block(&self) {
        self.inner.cut_requests.send_modify(|count| *count += 1);
    }

    /// The next `count` Submits are ordered, but their callers see a dropped connection.
    pub fn drop_submit_replies(&self, count: usize) {
        self.plan().submits.extend(std::iter::repeat_n(SubmitFault::ReplyLost, count));
    }

    /// The next `count` Submits are ordered, but their callers get no answer at all.
    pub fn hang_submit_replies(&self, count: usize) {
        self.plan().submits.extend(std::iter::repeat_n(SubmitFault::ReplyWithheld, count));
    }

    /// The next `count` Submits are acknowledged and then forgotten.
    pub fn discard_submits(&self, count: usize) {
        self.plan().submits.extend(std::iter::repeat_n(SubmitFault::Discarded, count));
    }

    /// The next `count` endorsements fail as if the contract had answered `status` and `message`.
    pub fn fail_endorsements(&self, count: usize, status: i32, message: &str) {
        let failure = (status, message.to_owned());
        self.plan().endorsement_failures.extend(std::iter::repeat_n(failure, count));
    }

    /// The next `count` endorsements beyond the first one of their transaction differ from it.
    pub fn mismatch_endorsements(&self, count: usize) {
        self.plan().mismatches += count;
    }

    /// Every endorsement takes this much longer; zero ends it.
    pub fn slow_endorsements(&self, delay: Duration) {
        self.plan().endorse_delay = delay;
    }

    /// The next `count` transactions are committed with this code and without effect; with
    /// VALID they look well and have written nothing.
    pub fn force_validation_code(&self, count: usize, code: TxValidationCode) {
        self.plan().validation_codes.extend(std::iter::repeat_n(code, count));
    }

    /// The next endorsed transaction carries this event in place of its own. Calls queue up.
    /// To put an event on the chain and nothing else, endorse and submit a query after this:
    /// it writes nothing.
    pub fn replace_next_event(&self, name: &str, payload: &[u8]) {
        let event = RawEvent { name: name.to_owned(), payload: payload.to_vec() };
        self.plan().events.push_back(event);
    }

    /// [`NodeFaults::end_streams`] of every peer.
    pub fn end_streams(&self) {
        self.each_peer(NodeFaults::end_streams);
    }

    /// [`NodeFaults::mute_streams`] of every peer.
    pub fn mute_streams(&self, muted: bool) {
        self.each_peer(|peer| peer.mute_streams(muted));
    }

    /// [`NodeFaults::unavailable`] of every peer.
    pub fn unavailable(&self, unavailable: bool) {
        self.each_peer(|peer| peer.unavailable(unavailable));
    }

    /// [`NodeFaults::too_many_requests`] of every peer.
    pub fn too_many_requests(&self, refused: bool) {
        self.each_peer(|peer| peer.too_many_requests(refused));
    }

    /// [`NodeFaults::down`] of the orderer: Submit finds none while this is on.
    pub fn orderer_down(&self, down: bool) {
        self.inner.orderer.down(down);
    }

    /// [`NodeFaults::down`] of every peer: drops every connection and refuses new ones while
    /// this is on.
    pub fn refuse_connections(&self, refused: bool) {
        self.each_peer(|peer| peer.down(refused));
    }

    /// Drops every open connection; new ones are served.
    pub fn reset_connections(&self) {
        self.each_peer(NodeFaults::reset_connections);
        self.inner.orderer.reset_connections();
    }

    fn each_peer(&self, make: impl Fn(&NodeFaults)) {
        self.inner.peers.iter().for_each(|(_, peer)| make(peer));
    }

    pub(crate) fn endorse_delay(&self) -> Duration {
        self.plan().endorse_delay
    }

    pub(crate) fn take_endorsement_failure(&self) -> Option<(i32, String)> {
        self.plan().endorsement_failures.pop_front()
    }

    pub(crate) fn take_mismatch(&self) -> bool {
        let mismatches = &mut self.plan().mismatches;
        let taken = *mismatches > 0;
        *mismatches = mismatches.saturating_sub(1);
        taken
    }

    pub(crate) fn take_submit_fault(&self) -> Option<SubmitFault> {
        self.plan().submits.pop_front()
    }

    pub(crate) fn take_validation_code(&self) -> Option<TxValidationCode> {
        self.plan().validation_codes.pop_front()
    }

    pub(crate) fn take_event(&self) -> Option<RawEvent> {
        self.plan().events.pop_front()
    }

    pub(crate) fn commits_held(&self) -> watch::Receiver<bool> {
        self.inner.commits_held.subscribe()
    }

    pub(crate) fn cut_requests(&self) -> watch::Receiver<u64> {
        self.inner.cut_requests.subscribe()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.inner.plan.lock().expect("no holder of this lock can panic")
    }
}
