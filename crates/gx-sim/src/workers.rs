//! The workers of a run: two of each kind, and frozen ones that may wake up. A run starts them,
//! moves them, and replaces those that die.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gx_model::Clock;
use gx_projector::{Projector, ProjectorError};
use gx_submitter::{Submitter, SubmitterError};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::actor::{Actor, STEP_END, StepBarrier};
use crate::environment::Environment;
use crate::fault_rates::FaultRates;

/// Names of the workers: the first two submit, the others project.
pub(crate) const NAMES: [&str; 4] = ["submitter-1", "submitter-2", "projector-1", "projector-2"];
/// Limit of the frozen workers; the oldest dies if there are more.
const MAX_SLEEPERS: usize = 3;
/// Longest time, in real time, until a block that exists arrives.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);
/// How long a projector waits for a block that does not exist.
const NO_BLOCK: Duration = Duration::from_millis(1);

/// The workers of a run.
pub(crate) struct Workers {
    /// The workers in the order of [`NAMES`], then the frozen ones.
    pub(crate) actors: Vec<Actor>,
    lives: u64,
    seed: u64,
}

impl Workers {
    pub(crate) fn new(env: &Environment, rates: &FaultRates, seed: u64) -> Self {
        let mut workers = Self { actors: Vec::new(), lives: 0, seed };
        for place in 0..NAMES.len() {
            let actor = workers.life(env, rates, place, env.clock.now());
            workers.actors.push(actor);
        }
        workers
    }

    /// Ends the process in a place and starts another. Returns the dead one so that the caller can
    /// wait for the end of its connections.
    pub(crate) fn replace(&mut self, env: &Environment, rates: &FaultRates, place: usize) -> Actor {
        let now = self.actors[place].clock.now();
        let next = self.life(env, rates, place, now);
        std::mem::replace(&mut self.actors[place], next)
    }

    /// Freezes the process in a place and starts another with its name. Returns the oldest frozen
    /// one if there are too many; it dies.
    pub(crate) fn freeze(
        &mut self,
        env: &Environment,
        rates: &FaultRates,
        place: usize,
    ) -> Option<Actor> {
        let sleeper = self.replace(env, rates, place);
        self.actors.push(sleeper);
        let too_many = self.actors.len() > NAMES.len() + MAX_SLEEPERS;
        too_many.then(|| self.actors.remove(NAMES.len()))
    }

    /// Ends all processes and starts the workers again. Returns the dead ones.
    pub(crate) fn replace_all(&mut self, env: &Environment, rates: &FaultRates) -> Vec<Actor> {
        let mut dead = self.actors.split_off(NAMES.len());
        dead.extend((0..NAMES.len()).map(|place| self.replace(env, rates, place)));
        dead
    }

    /// Starts the process of a place.
    fn life(
        &mut self,
        env: &Environment,
        rates: &FaultRates,
        place: usize,
        now: time::OffsetDateTime,
    ) -> Actor {
        self.lives += 1;
        let (name, clock) = (NAMES[place], Clock::manual(now));
        let seed = self.seed.wrapping_mul(1_000).wrapping_add(self.lives);
        let actor_clock = clock.clone();
        if place < 2 {
            let (settings, rng) = (rates.settings(name), StdRng::seed_from_u64(seed));
            let submitter = env.submitter(settings, rates.retry, clock, rng);
            return Actor::new(name, actor_clock, |barrier| Box::pin(submit(submitter, barrier)));
        }
        let projector = env.projector(rates.retry, rates.decode, clock, seed);
        let height = Arc::clone(&env.height);
        Actor::new(name, actor_clock, |barrier| Box::pin(project(projector, barrier, height)))
    }
}

/// Steps a submitter for ever, and reports the result of each step.
async fn submit(submitter: Submitter, barrier: StepBarrier) -> Infallible {
    let mut submitter = submitter.with_sync_points(barrier.sync_points());
    loop {
        let done = match submitter.step().await {
            Ok(gx_submitter::Progress::Waiting { .. }) => "waits for the projector".to_owned(),
            Ok(gx_submitter::Progress::BackingOff { .. }) => "leaves the ledger alone".to_owned(),
            Ok(gx_submitter::Progress::Idle) => "finds nothing to do".to_owned(),
            Ok(gx_submitter::Progress::Worked { tried, resent }) => {
                format!("tried {tried}, sent again {resent}")
            }
            Err(SubmitterError::Halted(halt)) => format!("halted: {halt}"),
            Err(SubmitterError::Ledger(error)) => format!("ledger failed: {}", error.class.name()),
            Err(SubmitterError::Database(_)) => "database failed".to_owned(),
        };
        barrier.pass(format!("{STEP_END} {done}")).await;
    }
}

/// Steps a projector for ever, and reports the result of each step.
async fn project(projector: Projector, barrier: StepBarrier, height: Arc<AtomicU64>) -> Infallible {
    let mut projector = projector.with_sync_points(barrier.sync_points());
    let mut next = None;
    loop {
        // The projector waits for a block that exists, so that the run does not depend on the speed
        // of the machine.
        let exists = next.is_some_and(|next| next < height.load(Ordering::SeqCst));
        let wait = if exists { DELIVERED_WITHIN } else { NO_BLOCK };
        let done = match projector.step(wait).await {
            Ok(gx_projector::Progress::Standby) => {
                next = None;
                "stands by".to_owned()
            }
            Ok(gx_projector::Progress::Began { number }) => {
                next = Some(number + 1);
                format!("begins after block {number}")
            }
            Ok(gx_projector::Progress::Applied(applied)) => {
                next = Some(applied.number + 1);
                format!(
                    "applied block {}: {} events, {} held, {} settled",
                    applied.number,
                    applied.events,
                    applied.held.len(),
                    applied.settled
                )
            }
            Ok(gx_projector::Progress::Idle) => "gets no block".to_owned(),
            Err(ProjectorError::Halted(halt)) => format!("halted: {halt}"),
            Err(ProjectorError::Ledger(error)) => format!("ledger failed: {}", error.class.name()),
            Err(ProjectorError::Database(_)) => "database failed".to_owned(),
            Err(ProjectorError::CheckpointMoved) => "finds the checkpoint moved".to_owned(),
        };
        barrier.pass(format!("{STEP_END} {done}")).await;
    }
}
