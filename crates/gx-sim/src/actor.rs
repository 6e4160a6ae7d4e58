//! A worker as a future that moves only when the scheduler lets it, from gate to gate.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gx_model::Clock;
use gx_outbox::Probe;
use tokio::sync::{Semaphore, mpsc};

/// A step that takes longer, in real time, hangs.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Where an actor stands before its first step.
const BORN: &str = "born";
/// Where a batch stands that has been sent, or not.
const ENDED: &str = "ended";
/// How places between two steps of the loop begin.
pub(crate) const STEP_END: char = '=';

/// What an actor runs: it never ends by itself.
pub(crate) type Body = Pin<Box<dyn Future<Output = Infallible> + Send>>;

/// One life of a worker.
pub(crate) struct Actor {
    /// Its name, which later lives take over.
    pub(crate) name: &'static str,
    /// What time it believes it is.
    pub(crate) clock: Clock,
    /// Where it stands.
    pub(crate) at: String,
    /// Its gates that wait for a permit, in that order.
    parked: VecDeque<String>,
    /// The server's process that holds the projector's lead for it.
    pub(crate) lead: Option<i32>,
    body: Body,
    arrivals: mpsc::UnboundedReceiver<String>,
    permits: Arc<Semaphore>,
}

/// Where an actor says what it did and waits until it may go on.
#[derive(Clone)]
pub(crate) struct Gate {
    arrivals: mpsc::UnboundedSender<String>,
    permits: Arc<Semaphore>,
}

impl Gate {
    /// Says where the actor stands, and waits.
    pub(crate) async fn pass(&self, at: String) {
        // Whoever no longer listens lets nobody through either.
        let _ = self.arrivals.send(at);
        self.wait().await;
    }

    async fn wait(&self) {
        self.permits.acquire().await.expect("it is never closed").forget();
    }

    /// The same as a worker's probe.
    pub(crate) fn probe(&self) -> Probe {
        let gate = self.clone();
        Probe::new(move |step| {
            let gate = gate.clone();
            Box::pin(async move { gate.pass(step.to_owned()).await })
        })
    }
}

impl Actor {
    /// An actor that has not taken its first step.
    pub(crate) fn new(name: &'static str, clock: Clock, body: impl FnOnce(Gate) -> Body) -> Self {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(0));
        let gate = Gate { arrivals: sender, permits: Arc::clone(&permits) };
        let life = body(gate.clone());
        let body: Body = Box::pin(async move {
            gate.wait().await;
            life.await
        });
        let parked = VecDeque::from([BORN.to_owned()]);
        Self { name, clock, at: BORN.to_owned(), parked, lead: None, body, arrivals, permits }
    }

    /// Lets it go on to its next gate. Of several batches that are sent side by side only one
    /// moves; whoever waits longest is next. `false`: it hangs.
    pub(crate) async fn go(&mut self) -> bool {
        loop {
            let gate = self.parked.pop_front();
            self.permits.add_permits(1);
            // A batch that has ended comes to no other gate; its neighbours stand still.
            if gate.as_deref() != Some(ENDED) || self.parked.is_empty() {
                break;
            }
        }
        let first = tokio::select! {
            biased;
            at = self.arrivals.recv() => at.expect("the body holds the sender"),
            never = &mut self.body => match never {},
            () = tokio::time::sleep(STUCK_AFTER) => return false,
        };
        self.parked.push_back(first);
        while let Ok(another) = self.arrivals.try_recv() {
            self.parked.push_back(another);
        }
        self.at = self.parked.back().expect("one has just arrived").clone();
        true
    }

    /// Whether its last step had nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        let idle = ["nothing to do", "stands by", "gets no block", "leaves the ledger alone"];
        idle.iter().any(|what| self.at.ends_with(what))
    }

    /// Whether it stands between two steps of its loop, and not within one.
    pub(crate) fn is_between_steps(&self) -> bool {
        self.at.starts_with(STEP_END) || self.at == BORN
    }
}
