//! Faults of one node: a peer or the orderer. The node's server and services ask whether one
//! applies; other nodes ask whether this one can be reached.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::forgery::Forgery;

/// Time that the other peers take to notice that a peer is down. Until then their calls to it fail.
const NOTICED_AFTER: Duration = Duration::from_secs(8);

/// A handle that injects faults into one peer or the orderer. Clones act on the same node.
#[derive(Clone, Debug)]
pub struct NodeFaults {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    plan: Mutex<Plan>,
    link: watch::Sender<Link>,
    streams_muted: watch::Sender<bool>,
    streams_ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Plan {
    unavailable: bool,
    too_many_requests: bool,
    /// The number of the first forged block, and the way it is forged.
    forged: Option<(u64, Forgery)>,
    /// The address on which the node listens.
    address: Option<SocketAddr>,
    /// The listener of a node that has come back.
    listener: Option<TcpListener>,
}

/// The state of a node's connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    /// Number of times that all connections were dropped.
    pub(crate) resets: u64,
    /// Whether connections stay open without transporting data.
    pub(crate) black_hole: bool,
    /// When the node went down; `None` if it is up.
    down_since: Option<Instant>,
    /// Whether the other peers were told at once that the node is down.
    noticed: bool,
}

/// Error: the called node is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable;

impl Link {
    pub(crate) fn is_down(self) -> bool {
        self.down_since.is_some()
    }
}

impl NodeFaults {
    pub(super) fn new() -> Self {
        let inner = Inner {
            plan: Mutex::default(),
            link: watch::Sender::new(Link::default()),
            streams_muted: watch::Sender::new(false),
            streams_ended: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Ends all faults.
    pub(super) fn clear(&self) {
        if self.inner.link.borrow().is_down() {
            self.down(false);
        }
        self.black_hole(false);
        self.mute_streams(false);
        self.unavailable(false);
        self.too_many_requests(false);
        self.forge_blocks(None);
    }

    /// Makes the node behave like a killed process while this is on: its connections are dropped
    /// and new ones refused, also those of other nodes. The peers count it out after a while, or at
    /// once by [`NodeFaults::count_out`].
    pub fn down(&self, down: bool) {
        if !down && self.inner.link.borrow().is_down() {
            // Bound here and not in the server's task, so that connections which are made after
            // this call returns are accepted.
            let mut plan = self.plan();
            plan.listener = plan.address.and_then(|address| TcpListener::bind(address).ok());
        }
        self.inner.link.send_modify(|link| {
            link.resets += u64::from(down);
            link.down_since = down.then(Instant::now);
            link.noticed = false;
        });
    }

    /// Makes the other peers notice at once that this one is down. Has no effect on a node that is
    /// up.
    pub fn count_out(&self) {
        self.inner.link.send_modify(|link| link.noticed = true);
    }

    /// Makes the node behave like a paused process while this is on: connections stay open, and
    /// calls get no answer.
    pub fn black_hole(&self, silent: bool) {
        self.inner.link.send_modify(|link| link.black_hole = silent);
    }

    /// Drops every open connection; new connections are accepted.
    pub fn reset_connections(&self) {
        self.inner.link.send_modify(|link| link.resets += 1);
    }

    /// Ends every open stream without an error; new streams are served.
    pub fn end_streams(&self) {
        self.inner.streams_ended.send_modify(|count| *count += 1);
    }

    /// Mutes streams that wait for new blocks while this is on: they stay open and send nothing.
    /// Requests for existing blocks are answered.
    pub fn mute_streams(&self, muted: bool) {
        self.inner.streams_muted.send_replace(muted);
    }

    /// Refuses every call as UNAVAILABLE while this is on, and ends open streams with that status.
    pub fn unavailable(&self, unavailable: bool) {
        self.plan().unavailable = unavailable;
        if unavailable {
            self.end_streams();
        }
    }

    /// Refuses gateway calls as above the concurrency limit while this is on.
    pub fn too_many_requests(&self, refused: bool) {
        self.plan().too_many_requests = refused;
    }

    /// Forges the blocks from this number on in what the node sends, until it is called with
    /// `None`. The committed blocks do not change.
    pub fn forge_blocks(&self, from: Option<(u64, Forgery)>) {
        self.plan().forged = from;
    }

    /// Returns the way in which the block with this number is forged, or `None`.
    pub(crate) fn forgery(&self, number: u64) -> Option<Forgery> {
        let forged = self.plan().forged.filter(|(from, _)| number >= *from);
        forged.map(|(_, forgery)| forgery)
    }

    /// Returns whether every call is refused as UNAVAILABLE.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.plan().unavailable
    }

    /// Returns whether gateway calls are refused as above the limit.
    pub(crate) fn refuses_requests(&self) -> bool {
        self.plan().too_many_requests
    }

    /// Sets the address on which the node listens.
    pub(crate) fn listens_at(&self, address: SocketAddr) {
        self.plan().address = Some(address);
    }

    /// Returns the listener of a node that comes back, or `None` if the caller must bind one.
    pub(crate) fn take_listener(&self) -> Option<TcpListener> {
        self.plan().listener.take()
    }

    /// Returns a channel with the state of the node's connections.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.inner.link.subscribe()
    }

    /// Returns whether the other peers still count on this one.
    pub(crate) fn is_counted_on(&self) -> bool {
        let link = *self.inner.link.borrow();
        link.down_since.is_none_or(|since| !link.noticed && since.elapsed() < NOTICED_AFTER)
    }

    /// Waits until a call of another node reaches this one. Fails if this one is down.
    pub(crate) async fn reached(&self) -> Result<(), Unreachable> {
        let mut link = self.inner.link.subscribe();
        let answering = link.wait_for(|link| link.is_down() || !link.black_hole).await;
        match answering {
            Ok(link) if !link.is_down() => Ok(()),
            Ok(_) | Err(_) => Err(Unreachable),
        }
    }

    /// Returns a channel that tells whether streams are muted.
    pub(crate) fn streams_muted(&self) -> watch::Receiver<bool> {
        self.inner.streams_muted.subscribe()
    }

    /// Returns a channel that changes when all streams must end.
    pub(crate) fn streams_ended(&self) -> watch::Receiver<u64> {
        self.inner.streams_ended.subscribe()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.inner.plan.lock().expect("no holder of this lock can panic")
    }
}
