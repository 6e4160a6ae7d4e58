//! A worker as a future that moves only when the scheduler lets it, from one barrier to the next.
//! `workers` makes the actors, and a run moves them; dropping one is the death of its process.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gx_model::Clock;
use gx_outbox::sync_points::SyncPoints;
use tokio::sync::{Semaphore, mpsc};

/// A step that takes longer, in real time, hangs.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// The state of an actor before its first step.
const CREATED: &str = "born";
/// The state of a batch after it was sent or failed.
const ENDED: &str = "ended";
/// The first character of a state between two steps of the loop.
pub(crate) const STEP_END: char = '=';

/// The future that an actor runs. It never ends by itself.
pub(crate) type Body = Pin<Box<dyn Future<Output = Infallible> + Send>>;

/// One process of a worker.
pub(crate) struct Actor {
    /// Its name, which later processes take over.
    pub(crate) name: &'static str,
    /// The clock of this worker, which may be wrong.
    pub(crate) clock: Clock,
    /// What it reported last.
    pub(crate) at: String,
    /// The states of its tasks that wait at the barrier, in the order of their arrival.
    parked: VecDeque<String>,
    /// Process id of the server's session that holds the projector's lead.
    pub(crate) lead: Option<i32>,
    /// Whether it is frozen and does not move.
    pub(crate) is_asleep: bool,
    body: Body,
    arrivals: mpsc::UnboundedReceiver<String>,
    permits: Arc<Semaphore>,
}

/// Where an actor reports its state and waits until it may continue.
#[derive(Clone)]
pub(crate) struct StepBarrier {
    arrivals: mpsc::UnboundedSender<String>,
    permits: Arc<Semaphore>,
}

impl StepBarrier {
    /// Reports the actor's state and waits for a permit.
    pub(crate) async fn pass(&self, at: String) {
        // If the receiver is gone, nobody gives a permit either.
        let _ = self.arrivals.send(at);
        self.wait().await;
    }

    async fn wait(&self) {
        self.permits.acquire().await.expect("it is never closed").forget();
    }

    /// Returns this barrier as the test hook of a worker.
    pub(crate) fn sync_points(&self) -> SyncPoints {
        let barrier = self.clone();
        SyncPoints::new(move |step| {
            let barrier = barrier.clone();
            Box::pin(async move { barrier.pass(step.to_owned()).await })
        })
    }
}

impl Actor {
    /// Creates an actor that has not taken its first step.
    pub(crate) fn new(
        name: &'static str,
        clock: Clock,
        body: impl FnOnce(StepBarrier) -> Body,
    ) -> Self {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(0));
        let barrier = StepBarrier { arrivals: sender, permits: Arc::clone(&permits) };
        let life = body(barrier.clone());
        let body: Body = Box::pin(async move {
            barrier.wait().await;
            life.await
        });
        let parked = VecDeque::from([CREATED.to_owned()]);
        let (lead, is_asleep) = (None, false);
        let at = CREATED.to_owned();
        Self { name, clock, at, parked, lead, is_asleep, body, arrivals, permits }
    }

    /// Lets the actor move to its next barrier. Of several batches in flight only the one that has
    /// waited longest moves. Returns `false` if the actor hangs.
    pub(crate) async fn go(&mut self) -> bool {
        loop {
            let barrier = self.parked.pop_front();
            self.permits.add_permits(1);
            // A batch that has ended reaches no other barrier, so another one must move.
            if barrier.as_deref() != Some(ENDED) || self.parked.is_empty() {
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

    /// Returns whether its last step had nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        let idle = ["nothing to do", "stands by", "gets no block", "leaves the ledger alone"];
        idle.iter().any(|what| self.at.ends_with(what))
    }

    /// Returns whether it is between two steps of its loop.
    pub(crate) fn is_between_steps(&self) -> bool {
        self.at.starts_with(STEP_END) || self.at == CREATED
    }
}
