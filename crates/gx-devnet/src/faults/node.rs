//! Faults of one node: a peer or the orderer.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How long the other peers take to notice that a peer is gone; until then their calls to it
/// fail one by one.
const NOTICED_AFTER: Duration = Duration::from_secs(8);

/// A handle that makes one peer or the orderer misbehave. Clones act on the same node.
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
    /// Where the node listens.
    address: Option<SocketAddr>,
    /// What a node that came back listens with.
    listener: Option<TcpListener>,
}

/// What a node's connections do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    /// How often all connections were dropped.
    pub(crate) resets: u64,
    /// Nothing gets through, and nothing is refused.
    pub(crate) black_hole: bool,
    /// Since when connections are refused.
    down_since: Option<Instant>,
    noticed: bool,
}

/// A call to a node that does not answer the telephone.
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

    /// Ends every fault.
    pub(super) fn clear(&self) {
        if self.inner.link.borrow().is_down() {
            self.down(false);
        }
        self.black_hole(false);
        self.mute_streams(false);
        self.unavailable(false);
        self.too_many_requests(false);
    }

    /// The node is as a killed process while this is on: connections are dropped and refused,
    /// and other nodes' calls to it too. The peers count it out after a while, or at once
    /// with [`NodeFaults::count_out`].
    pub fn down(&self, down: bool) {
        if !down && self.inner.link.borrow().is_down() {
            // Bound here and not by the server's task, so that whoever connects after this is
            // not refused any more.
            let mut plan = self.plan();
            plan.listener = plan.address.and_then(|address| TcpListener::bind(address).ok());
        }
        self.inner.link.send_modify(|link| {
            link.resets += u64::from(down);
            link.down_since = down.then(Instant::now);
            link.noticed = false;
        });
    }

    /// The other peers notice at once that this one is down. No effect on one that is not.
    pub fn count_out(&self) {
        self.inner.link.send_modify(|link| link.noticed = true);
    }

    /// The node is as a paused process while this is on: connections stay, and nothing is
    /// answered.
    pub fn black_hole(&self, silent: bool) {
        self.inner.link.send_modify(|link| link.black_hole = silent);
    }

    /// Drops every open connection; new ones are served.
    pub fn reset_connections(&self) {
        self.inner.link.send_modify(|link| link.resets += 1);
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

    pub(crate) fn is_unavailable(&self) -> bool {
        self.plan().unavailable
    }

    pub(crate) fn refuses_requests(&self) -> bool {
        self.plan().too_many_requests
    }

    /// Says where the node listens.
    pub(crate) fn listens_at(&self, address: SocketAddr) {
        self.plan().address = Some(address);
    }

    /// The listener with which a node comes back.
    pub(crate) fn take_listener(&self) -> Option<TcpListener> {
        self.plan().listener.take()
    }

    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.inner.link.subscribe()
    }

    /// Whether the other peers still count on this one.
    pub(crate) fn is_counted_on(&self) -> bool {
        let link = *self.inner.link.borrow();
        link.down_since.is_none_or(|since| !link.noticed && since.elapsed() < NOTICED_AFTER)
    }

    /// Waits until another node's call gets through to this one.
    pub(crate) async fn reached(&self) -> Result<(), Unreachable> {
        let mut link = self.inner.link.subscribe();
        let answering = link.wait_for(|link| link.is_down() || !link.black_hole).await;
        match answering {
            Ok(link) if !link.is_down() => Ok(()),
            Ok(_) | Err(_) => Err(Unreachable),
        }
    }

    pub(crate) fn streams_muted(&self) -> watch::Receiver<bool> {
        self.inner.streams_muted.subscribe()
    }

    pub(crate) fn streams_ended(&self) -> watch::Receiver<u64> {
        self.inner.streams_ended.subscribe()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.inner.plan.lock().expect("no holder of this lock can panic")
    }
}
