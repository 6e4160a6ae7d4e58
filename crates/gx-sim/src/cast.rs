//! The workers of a run: two of each, and those that stopped moving and may wake up.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gx_model::Clock;
use gx_projector::{Projector, ProjectorError};
use gx_submitter::{Submitter, SubmitterError};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::actor::{Actor, Gate, STEP_END};
use crate::habits::Habits;
use crate::stage::Stage;

/// The first two submit, the others project.
pub(crate) const NAMES: [&str; 4] = ["submitter-1", "submitter-2", "projector-1", "projector-2"];
/// Sleepers beyond that die.
const MAX_GHOSTS: usize = 3;
/// How long, in real time, a block that exists may take to arrive.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);
/// How long a projector waits for a block that does not exist.
const NO_BLOCK: Duration = Duration::from_millis(1);

/// Who is there.
pub(crate) struct Cast {
    /// The workers by their place in [`NAMES`], then the sleepers.
    pub(crate) actors: Vec<Actor>,
    lives: u64,
    seed: u64,
}

impl Cast {
    pub(crate) fn new(stage: &Stage, habits: &Habits, seed: u64) -> Self {
        let mut cast = Self { actors: Vec::new(), lives: 0, seed };
        for place in 0..NAMES.len() {
            let actor = cast.life(stage, habits, place, stage.clock.now());
            cast.actors.push(actor);
        }
        cast
    }

    /// Ends the life in a place and begins another. The dead one is returned so that its end
    /// can be waited for.
    pub(crate) fn replace(&mut self, stage: &Stage, habits: &Habits, place: usize) -> Actor {
        let now = self.actors[place].clock.now();
        let next = self.life(stage, habits, place, now);
        std::mem::replace(&mut self.actors[place], next)
    }

    /// Lets the life in a place sleep, and begins another beside it; who dies because there
    /// are too many sleepers.
    pub(crate) fn freeze(&mut self, stage: &Stage, habits: &Habits, place: usize) -> Option<Actor> {
        let sleeper = self.replace(stage, habits, place);
        self.actors.push(sleeper);
        let too_many = self.actors.len() > NAMES.len() + MAX_GHOSTS;
        too_many.then(|| self.actors.remove(NAMES.len()))
    }

    /// Everybody dies, and the workers begin again.
    pub(crate) fn replace_all(&mut self, stage: &Stage, habits: &Habits) -> Vec<Actor> {
        let mut dead = self.actors.split_off(NAMES.len());
        dead.extend((0..NAMES.len()).map(|place| self.replace(stage, habits, place)));
        dead
    }

    fn life(
        &mut self,
        stage: &Stage,
        habits: &Habits,
        place: usize,
        now: time::OffsetDateTime,
    ) -> Actor {
        self.lives += 1;
        let (name, clock) = (NAMES[place], Clock::manual(now));
        let seed = self.seed.wrapping_mul(1_000).wrapping_add(self.lives);
        let actor_clock = clock.clone();
        if place < 2 {
            let (settings, rng) = (habits.settings(name), StdRng::seed_from_u64(seed));
            let submitter = stage.submitter(settings, habits.retry, clock, rng);
            return Actor::new(name, actor_clock, |gate| Box::pin(submit(submitter, gate)));
        }
        let projector = stage.projector(habits.retry, clock, seed);
        let height = Arc::clone(&stage.height);
        Actor::new(name, actor_clock, |gate| Box::pin(project(projector, gate, height)))
    }
}

async fn submit(submitter: Submitter, gate: Gate) -> Infallible {
    let mut submitter = submitter.with_probe(gate.probe());
    loop {
        let done = match submitter.step().await {
            Ok(gx_submitter::Progress::Waiting { .. }) => "waits for the projector".to_owned(),
            Ok(gx_submitter::Progress::Paused { .. }) => "leaves the ledger alone".to_owned(),
            Ok(gx_submitter::Progress::Idle) => "finds nothing to do".to_owned(),
            Ok(gx_submitter::Progress::Worked { tried, resent }) => {
                format!("tried {tried}, sent again {resent}")
            }
            Err(SubmitterError::Halted(halt)) => format!("halted: {halt}"),
            Err(SubmitterError::Ledger(error)) => format!("ledger failed: {}", error.class.name()),
            Err(SubmitterError::Database(_)) => "database failed".to_owned(),
        };
        gate.pass(format!("{STEP_END} {done}")).await;
    }
}

async fn project(projector: Projector, gate: Gate, height: Arc<AtomicU64>) -> Infallible {
    let mut projector = projector.with_probe(gate.probe());
    let mut next = None;
    loop {
        // A block that exists comes, however long it takes: then the run does not depend on
        // the machine's speed.
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
        gate.pass(format!("{STEP_END} {done}")).await;
    }
}
