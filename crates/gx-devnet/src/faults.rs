//! Faults on request, so that a client's behaviour in each can be tested.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gx_fabric_proto::protos::TxValidationCode;
use tokio::sync::watch;

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
    streams_muted: watch::Sender<bool>,
    streams_ended: watch::Sender<u64>,
    connections_reset: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Plan {
    unavailable: bool,
    too_many_requests: bool,
    orderer_down: bool,
    connections_refused: bool,
    endorse_delay: Duration,
    endorsement_failures: VecDeque<(i32, String)>,
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
            streams_muted: watch::Sender::new(false),
            streams_ended: watch::Sender::new(0),
            connections_reset: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
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

    /// Every open stream ends now, without an error; new ones are served.
    pub fn end_streams(&self) {
        self.inner.streams_ended.send_modify(|count| *count += 1);
    }

    /// Streams that wait for blocks to come stay open and silent while this is on. A
    /// request for a block that exists is still answered.
    pub fn mute_streams(&self, muted: bool) {
        self.inner.streams_muted.send_replace(muted);
    }

    /// Every call is refused as UNAVAILABLE while this is on; open streams end so at once.
    pub fn unavailable(&self, unavailable: bool) {
        self.plan().unavailable = unavailable;
        if unavailable {
            self.end_streams();
        }
    }

    /// Gateway calls are refused as they are above the concurrency limit while this is on.
    pub fn too_many_requests(&self, refused: bool) {
        self.plan().too_many_requests = refused;
    }

    /// Submit finds no orderer while this is on.
    pub fn orderer_down(&self, down: bool) {
        self.plan().orderer_down = down;
    }

    /// Drops every connection, and each new one at once, while this is on.
    pub fn refuse_connections(&self, refused: bool) {
        self.plan().connections_refused = refused;
        if refused {
            self.reset_connections();
        }
    }

    /// Drops every open connection; new ones are served.
    pub fn reset_connections(&self) {
        self.inner.connections_reset.send_modify(|count| *count += 1);
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        self.plan().unavailable
    }

    pub(crate) fn refuses_requests(&self) -> bool {
        self.plan().too_many_requests
    }

    pub(crate) fn is_orderer_down(&self) -> bool {
        self.plan().orderer_down
    }

    pub(crate) fn refuses_connections(&self) -> bool {
        self.plan().connections_refused
    }

    pub(crate) fn endorse_delay(&self) -> Duration {
        self.plan().endorse_delay
    }

    pub(crate) fn take_endorsement_failure(&self) -> Option<(i32, String)> {
        self.plan().endorsement_failures.pop_front()
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

    pub(crate) fn streams_muted(&self) -> watch::Receiver<bool> {
        self.inner.streams_muted.subscribe()
    }

    pub(crate) fn streams_ended(&self) -> watch::Receiver<u64> {
        self.inner.streams_ended.subscribe()
    }

    pub(crate) fn connections_reset(&self) -> watch::Receiver<u64> {
        self.inner.connections_reset.subscribe()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.inner.plan.lock().expect("no holder of this lock can panic")
    }
}
