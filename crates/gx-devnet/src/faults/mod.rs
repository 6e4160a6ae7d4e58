//! Injects faults, to test how clients behave. Tests and the simulation plan them through
//! [`Faults`], and the control endpoint does so for other programs. The services ask before each
//! step whether a fault applies.

mod forgery;
mod node;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gx_fabric_proto::protos::TxValidationCode;
use tokio::sync::watch;

pub use forgery::Forgery;
pub use node::NodeFaults;
pub(crate) use node::{Link, Unreachable};

use crate::msp::CHANNEL_MSP_IDS;

/// A handle that injects faults into a running development ledger. Clones act on the same ledger.
#[derive(Clone, Debug)]
pub struct Faults {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    plan: Mutex<Plan>,
    commits_held: watch::Sender<bool>,
    cut_requests: watch::Sender<u64>,
    /// The faults of each peer, by the MSP id of its organisation.
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
    /// Texts: a proposal that contains one is not endorsed; the status and message are the
    /// contract's.
    refused: Vec<(String, i32, String)>,
    /// Texts: a transaction that contains one is not valid; with its validation code.
    spoilt: Vec<(String, TxValidationCode)>,
    events: VecDeque<RawEvent>,
}

/// The fault of one Submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubmitFault {
    /// The envelope is ordered, but the caller sees a lost connection.
    ReplyLost,
    /// The envelope is ordered, but the caller gets no answer.
    ReplyWithheld,
    /// The envelope is acknowledged, but not ordered.
    Discarded,
}

/// A chaincode event with any content.
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

    /// Ends all faults and cancels the planned ones.
    pub fn clear(&self) {
        *self.plan() = Plan::default();
        self.release_commits();
        for node in self.inner.peers.iter().map(|(_, peer)| peer).chain([&self.inner.orderer]) {
            node.clear();
        }
    }

    /// Returns the faults of an organisation's peer, or `None` if it has no peer in the channel.
    pub fn peer(&self, msp_id: &str) -> Option<NodeFaults> {
        let found = self.inner.peers.iter().find(|(peer, _)| *peer == msp_id);
        found.map(|(_, faults)| faults.clone())
    }

    /// Returns the faults of the orderer.
    pub fn orderer(&self) -> NodeFaults {
        self.inner.orderer.clone()
    }

    /// Makes the orderer accept envelopes and cut no block until [`Faults::release_commits`].
    pub fn hold_commits(&self) {
        self.inner.commits_held.send_replace(true);
    }

    /// Ends [`Faults::hold_commits`]: cuts the blocks that are due.
    pub fn release_commits(&self) {
        self.inner.commits_held.send_replace(false);
    }

    /// Cuts one block of everything submitted so far, whatever the cutting rule is.
    pub fn cut_block(&self) {
        self.inner.cut_requests.send_modify(|count| *count += 1);
    }

    /// Makes the next `count` Submits fail with a dropped connection, although they are ordered.
    pub fn drop_submit_replies(&self, count: usize) {
        self.plan().submits.extend(std::iter::repeat_n(SubmitFault::ReplyLost, count));
    }

    /// Makes the next `count` Submits get no answer, although they are ordered.
    pub fn withhold_submit_replies(&self, count: usize) {
        self.plan().submits.extend(std::iter::repeat_n(SubmitFault::ReplyWithheld, count));
    }

    /// Discards the next `count` Submits after acknowledging them.
    pub fn discard_submits(&self, count: usize) {
        self.plan().submits.extend(std::iter::repeat_n(SubmitFault::Discarded, count));
    }

    /// Makes the next `count` endorsements fail with a contract's answer of `status` and `message`.
    pub fn fail_endorsements(&self, count: usize, status: i32, message: &str) {
        let failure = (status, message.to_owned());
        self.plan().endorsement_failures.extend(std::iter::repeat_n(failure, count));
    }

    /// Makes the next `count` endorsements that are not the first of their transaction differ from
    /// the first.
    pub fn mismatch_endorsements(&self, count: usize) {
        self.plan().mismatches += count;
    }

    /// Delays every endorsement by `delay`; zero ends the fault.
    pub fn delay_endorsements(&self, delay: Duration) {
        self.plan().endorse_delay = delay;
    }

    /// Commits the next `count` transactions with this code and without effect. With VALID they
    /// look successful and have written nothing.
    pub fn force_validation_code(&self, count: usize, code: TxValidationCode) {
        self.plan().validation_codes.extend(std::iter::repeat_n(code, count));
    }

    /// Makes every proposal that contains this text, for example a command id, fail with a
    /// contract's answer of `status` and `message`.
    pub fn refuse_what_holds(&self, text: &str, status: i32, message: &str) {
        self.plan().refused.push((text.to_owned(), status, message.to_owned()));
    }

    /// Commits every transaction that contains this text, for example a command id, with this code
    /// and without effect. Codes for the next transactions take precedence.
    pub fn spoil_what_holds(&self, text: &str, code: TxValidationCode) {
        self.plan().spoilt.push((text.to_owned(), code));
    }

    /// Replaces the event of the next endorsed transaction. Several calls apply to several
    /// transactions. To put only an event on the chain, endorse and submit a query after this call:
    /// it writes nothing.
    pub fn replace_next_event(&self, name: &str, payload: &[u8]) {
        let event = RawEvent { name: name.to_owned(), payload: payload.to_vec() };
        self.plan().events.push_back(event);
    }

    /// Calls [`NodeFaults::end_streams`] for every peer.
    pub fn end_streams(&self) {
        self.each_peer(NodeFaults::end_streams);
    }

    /// Calls [`NodeFaults::mute_streams`] for every peer.
    pub fn mute_streams(&self, muted: bool) {
        self.each_peer(|peer| peer.mute_streams(muted));
    }

    /// Calls [`NodeFaults::unavailable`] for every peer.
    pub fn unavailable(&self, unavailable: bool) {
        self.each_peer(|peer| peer.unavailable(unavailable));
    }

    /// Calls [`NodeFaults::too_many_requests`] for every peer.
    pub fn too_many_requests(&self, refused: bool) {
        self.each_peer(|peer| peer.too_many_requests(refused));
    }

    /// Calls [`NodeFaults::down`] for the orderer: Submit then finds no orderer.
    pub fn orderer_down(&self, down: bool) {
        self.inner.orderer.down(down);
    }

    /// Calls [`NodeFaults::down`] for every peer: all connections are dropped and new ones refused.
    pub fn refuse_connections(&self, refused: bool) {
        self.each_peer(|peer| peer.down(refused));
    }

    /// Drops every open connection; new connections are accepted.
    pub fn reset_connections(&self) {
        self.each_peer(NodeFaults::reset_connections);
        self.inner.orderer.reset_connections();
    }

    /// Applies a fault to every peer.
    pub(crate) fn each_peer(&self, make: impl Fn(&NodeFaults)) {
        self.inner.peers.iter().for_each(|(_, peer)| make(peer));
    }

    /// Returns the time by which each endorsement is delayed; zero without the fault.
    pub(crate) fn endorse_delay(&self) -> Duration {
        self.plan().endorse_delay
    }

    /// Returns the answer with which this proposal fails, or `None` if it does not.
    pub(crate) fn take_endorsement_failure(&self, proposal: &[u8]) -> Option<(i32, String)> {
        let mut plan = self.plan();
        let planned = plan.endorsement_failures.pop_front();
        planned.or_else(|| {
            let refused = plan.refused.iter().find(|(text, ..)| holds(proposal, text));
            refused.map(|(_, status, message)| (*status, message.clone()))
        })
    }

    /// Returns whether this endorsement differs from the first.
    pub(crate) fn take_mismatch(&self) -> bool {
        let mismatches = &mut self.plan().mismatches;
        let taken = *mismatches > 0;
        *mismatches = mismatches.saturating_sub(1);
        taken
    }

    /// Returns the fault of this Submit, or `None` if there is none.
    pub(crate) fn take_submit_fault(&self) -> Option<SubmitFault> {
        self.plan().submits.pop_front()
    }

    /// Returns the code that this transaction gets, or `None` if it is validated.
    pub(crate) fn take_validation_code(&self, transaction: &[u8]) -> Option<TxValidationCode> {
        let mut plan = self.plan();
        let planned = plan.validation_codes.pop_front();
        planned.or_else(|| {
            let spoilt = plan.spoilt.iter().find(|(text, _)| holds(transaction, text));
            spoilt.map(|(_, code)| *code)
        })
    }

    /// Returns the event that this transaction gets, or `None` if it keeps its own.
    pub(crate) fn take_event(&self) -> Option<RawEvent> {
        self.plan().events.pop_front()
    }

    /// Returns a channel that tells whether commits are held.
    pub(crate) fn commits_held(&self) -> watch::Receiver<bool> {
        self.inner.commits_held.subscribe()
    }

    /// Returns a channel that changes with each request to cut a block.
    pub(crate) fn cut_requests(&self) -> watch::Receiver<u64> {
        self.inner.cut_requests.subscribe()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.inner.plan.lock().expect("no holder of this lock can panic")
    }
}

/// Returns whether the bytes contain the text. An empty text is contained in everything.
fn holds(bytes: &[u8], text: &str) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|part| part == text.as_bytes())
}
