//! State of one connection: whether it works for its client, waits for its client, or is idle. The
//! parts of the connection record what happens; [`crate::server`] asks for the next action, and the
//! admission for connections that can be closed.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::RequestSlot;
use crate::problem::ProblemKind;

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionTimeLimits {
    /// From the start of the connection to its first request.
    pub(crate) silence: Duration,
    /// From the first byte of a later request's head to its last.
    pub(crate) head: Duration,
    /// HTTP/1.1: between two requests.
    pub(crate) http1_idle: Duration,
    /// HTTP/2: without an open stream.
    pub(crate) http2_idle: Duration,
    /// Without the client taking any part of a response.
    pub(crate) stall: Duration,
    /// From the decision to close until the connection is cut.
    pub(crate) parting: Duration,
}

/// The next action of the server on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionAction {
    /// Check again at this time.
    WaitUntil(Instant),
    /// Cut it: it has sent nothing.
    Silent,
    /// Answer with a timeout: it began a request and did not continue.
    SlowHead,
    /// Close it: it was not used.
    Idle,
    /// Cut it: the client does not take the response.
    Stalled,
    /// Cut it: it was told to close and did not.
    Overdue,
}

/// The state of one connection, shared by its parts.
pub(crate) struct Activity {
    state: Mutex<ActivityState>,
    evicted: Notify,
}

struct ActivityState {
    /// First bytes, which tell HTTP/2 from HTTP/1.1 before the first request.
    start: [u8; 3],
    started: usize,
    asked: bool,
    is_http2: bool,
    /// Number of requests whose response is not completely written.
    open: usize,
    /// Number of open requests that wait for the client.
    waiting: usize,
    /// Number of open requests whose client has not taken the ready part of the response.
    sending: usize,
    /// Since when the connection does no work for its client.
    since: Instant,
    /// When the client last took a part of a response.
    taken: Instant,
    /// When the first byte of the next head arrived.
    head_since: Option<Instant>,
    /// Whether the first line of that head is complete.
    has_line: bool,
    /// Whether bytes that arrived with the previous request may belong to that head.
    has_unseen: bool,
    /// Whether the last bytes end like a head without a body.
    ended_head: bool,
    /// Whether all responses have been written to the socket.
    is_clean: bool,
    /// Whether the body of a request was not read to its end.
    has_unread: bool,
    /// The problem with which the connection is rejected.
    refusal: Option<&'static ProblemKind>,
    /// Since when the connection is being closed.
    parting_since: Option<Instant>,
}

impl ActivityState {
    /// Returns whether a request is open that does not wait for the client.
    fn works(&self) -> bool {
        self.open > self.waiting
    }
}

impl Activity {
    /// Creates the state of an accepted connection.
    pub(crate) fn new() -> Arc<Self> {
        let now = Instant::now();
        let state = ActivityState {
            start: [0; 3],
            started: 0,
            asked: false,
            is_http2: false,
            open: 0,
            waiting: 0,
            sending: 0,
            since: now,
            taken: now,
            head_since: None,
            has_line: false,
            has_unseen: false,
            ended_head: false,
            is_clean: true,
            has_unread: false,
            refusal: None,
            parting_since: None,
        };
        Arc::new(Self { state: Mutex::new(state), evicted: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, ActivityState> {
        self.state.lock().expect("no holder of this lock can panic")
    }

    /// Records bytes that the client sent.
    pub(crate) fn heard(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut state = self.state();
        for byte in bytes.iter().take(state.start.len() - state.started) {
            let at = state.started;
            state.start[at] = *byte;
            state.started += 1;
        }
        state.ended_head = bytes.ends_with(b"\r\n\r\n");
        // Bytes that arrive earlier may belong to the body of the previous request.
        if state.open == 0 && state.is_clean {
            state.head_since.get_or_insert_with(Instant::now);
            state.has_line |= bytes.contains(&b'\n');
        }
    }

    /// Records that everything written so far is on its way.
    pub(crate) fn flushed(&self) {
        let mut state = self.state();
        state.is_clean |= state.open == 0;
    }

    /// Returns whether the next bytes to be written cannot belong to a response of the service.
    pub(crate) fn is_clean(&self) -> bool {
        let state = self.state();
        state.is_clean && state.open == 0
    }

    /// Returns whether the first line of the arriving head is certainly incomplete.
    pub(crate) fn lacks_line(&self) -> bool {
        let state = self.state();
        state.head_since.is_some() && !state.has_line && !state.has_unseen
    }

    /// Records that the body of a request was not read to its end.
    pub(crate) fn left_unread(&self) {
        self.state().has_unread = true;
    }

    /// Returns whether the client may be sending bytes that nothing reads.
    pub(crate) fn has_unread(&self) -> bool {
        self.state().has_unread
    }

    /// Records that the connection is being closed. Its last time limit begins.
    pub(crate) fn part(&self) {
        self.state().parting_since.get_or_insert_with(Instant::now);
    }

    /// Makes the next read answer with this problem and end the connection.
    pub(crate) fn refuse(&self, kind: &'static ProblemKind) {
        let mut state = self.state();
        state.refusal = Some(kind);
        state.parting_since.get_or_insert_with(Instant::now);
    }

    /// Returns the problem with which the connection is rejected.
    pub(crate) fn refusal(&self) -> Option<&'static ProblemKind> {
        self.state().refusal
    }

    /// Returns whether the service works on a request that does not wait for its client.
    pub(crate) fn works(&self) -> bool {
        self.state().works()
    }

    /// Returns whether no request is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().open == 0
    }

    /// Returns whether a request is open and since when the connection does no work, or `None` if
    /// it works. Idle connections sort before those whose requests wait for the client.
    pub(super) fn unused_since(&self) -> Option<(bool, Instant)> {
        let state = self.state();
        (!state.works()).then_some((state.open > 0, state.since))
    }

    /// Tells the connection to free its slot.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Waits until the connection is told to free its slot.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Returns the action that the server must take on the connection now.
    pub(crate) fn next_action(&self, times: &ConnectionTimeLimits) -> ConnectionAction {
        let (state, now) = (self.state(), Instant::now());
        let is_http2 = state.is_http2 || state.start.starts_with(b"PRI");
        let (due, action) = if let (Some(since), false) = (state.parting_since, state.works()) {
            (since.max(state.since).max(state.taken) + times.parting, ConnectionAction::Overdue)
        } else if state.sending > 0 {
            (state.taken + times.stall, ConnectionAction::Stalled)
        } else if state.open > 0 {
            return ConnectionAction::WaitUntil(now + times.head);
        } else if !state.asked && (state.started == 0 || is_http2) {
            (state.since + times.silence, ConnectionAction::Silent)
        } else if !state.asked {
            (state.since + times.silence, ConnectionAction::SlowHead)
        } else if is_http2 {
            (state.since + times.http2_idle, ConnectionAction::Idle)
        } else if let Some(since) = state.head_since {
            (since + times.head, ConnectionAction::SlowHead)
        } else {
            (state.since + times.http1_idle, ConnectionAction::Idle)
        };
        if due <= now {
            return action;
        }
        // A deadline can move without a wake-up, so the next check is at most this far away.
        ConnectionAction::WaitUntil(due.min(now + times.head))
    }

    /// Records a new request and returns its state, which ends when the response is completely
    /// taken.
    pub(crate) fn begin(
        self: &Arc<Self>,
        is_http2: bool,
        slot: Option<RequestSlot>,
    ) -> Arc<OpenRequest> {
        let mut state = self.state();
        state.asked = true;
        state.is_http2 = is_http2;
        state.open += 1;
        state.is_clean = false;
        state.head_since = None;
        state.has_line = false;
        state.has_unseen = !state.ended_head;
        drop(state);
        let progress = Mutex::new(Progress::default());
        Arc::new(OpenRequest { activity: Arc::clone(self), progress, _slot: slot })
    }
}

/// A request whose response is not completely taken.
pub(crate) struct OpenRequest {
    activity: Arc<Activity>,
    progress: Mutex<Progress>,
    _slot: Option<RequestSlot>,
}

#[derive(Default)]
struct Progress {
    is_receiving: bool,
    /// Parts of the response that are ready and not taken.
    untaken: usize,
}

impl Progress {
    fn is_waiting(&self) -> bool {
        self.is_receiving || self.untaken > 0
    }
}

impl OpenRequest {
    /// Changes the progress of this request, and the counters of its connection with it.
    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().expect("no holder of this lock can panic");
        let (waited, sent) = (progress.is_waiting(), progress.untaken > 0);
        change(&mut progress);
        let (waits, sends) = (progress.is_waiting(), progress.untaken > 0);
        let mut state = self.activity.state();
        let now = Instant::now();
        match (waited, waits) {
            (false, true) => {
                state.waiting += 1;
                state.since = now;
            }
            (true, false) => state.waiting -= 1,
            _ => {}
        }
        match (sent, sends) {
            (false, true) => state.sending += 1,
            (true, false) => state.sending -= 1,
            _ => {}
        }
        state.taken = now;
    }

    /// Records whether the body is still arriving.
    pub(super) fn receiving(&self, is_receiving: bool) {
        self.change(|progress| progress.is_receiving = is_receiving);
    }

    /// Records another part of the response that is ready.
    pub(crate) fn ready(&self) {
        self.change(|progress| progress.untaken += 1);
    }

    /// Records that the client took one part.
    pub(crate) fn taken(&self) {
        self.change(|progress| progress.untaken -= 1);
    }

    /// Records that the client took some bytes of a part.
    pub(crate) fn moved(&self) {
        self.change(|_| {});
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.change(|progress| *progress = Progress::default());
        let mut state = self.activity.state();
        state.open -= 1;
        state.since = Instant::now();
        state.head_since = None;
        state.has_line = false;
    }
}
