//! The storms of a run: how they begin, act and end. The run calls it before and after each action.

use std::time::Duration;

use gx_devnet::Faults;
use rand::rngs::StdRng;
use rand::{RngExt, seq::IndexedRandom};

use super::Run;
use super::population;
use super::rounds::work_once;
use crate::database_stall::DatabaseStall;
use crate::storms::{Absence, Storm};
use crate::workers::NAMES;

/// Number of faults that are queued in the ledger for one storm: more than a run has transactions.
const EVERYTHING: usize = 20_000;
/// Number of steps that a storm lasts.
const STORM_STEPS: std::ops::RangeInclusive<u32> = 30..=80;
/// Probability of a bout ([`Run::play_bout`]) before a step of a storm.
const BOUT_PROBABILITY: f64 = 0.25;
/// After this time every certificate has expired.
const CERTIFICATES_LAST: Duration = Duration::from_hours(100 * 366 * 24);

/// The storms that are active now.
#[derive(Debug, Default)]
pub(crate) struct ActiveStorms {
    /// Each storm with its remaining steps.
    running: Vec<(Storm, u32)>,
}

impl ActiveStorms {
    /// Adds a storm.
    pub(crate) fn begin(&mut self, storm: Storm, rng: &mut StdRng) {
        self.running.push((storm, rng.random_range(STORM_STEPS)));
    }

    /// Returns whether any storm is active.
    pub(crate) fn is_stormy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Returns the active storms.
    pub(crate) fn now(&self) -> impl Iterator<Item = &Storm> {
        self.running.iter().map(|(storm, _)| storm)
    }

    /// Returns whether no peer delivers blocks now.
    pub(crate) fn hides_blocks(&self) -> bool {
        let hides = [Storm::Absence(Absence::Expired), Storm::Absence(Absence::Peers)];
        self.now().any(|storm| hides.contains(storm))
    }

    /// Returns how much time passes in the next bout, or `None` if there is no bout before this
    /// step.
    fn bout(&self, rng: &mut StdRng) -> Option<Duration> {
        let (storm, _) = self.running.choose(rng)?;
        rng.random_bool(BOUT_PROBABILITY).then(|| storm.some_time(rng))
    }

    /// Counts a step and returns the storms that end with it.
    fn step(&mut self) -> Vec<Storm> {
        self.running.iter_mut().for_each(|(_, left)| *left -= 1);
        let over = self.running.extract_if(.., |(_, left)| *left == 0);
        over.map(|(storm, _)| storm).collect()
    }
}

/// Sets the faults of a storm in the ledger. They last until the ledger's faults are cleared.
fn impose(storm: &Storm, faults: &Faults) {
    match storm {
        Storm::Refusal(code) => faults.force_validation_code(EVERYTHING, *code),
        Storm::Absence(Absence::Peers) => faults.unavailable(true),
        Storm::Absence(Absence::Orderer) => faults.orderer_down(true),
        Storm::Absence(Absence::Forbidden) => {
            faults.fail_endorsements(EVERYTHING, 403, "simulated");
        }
        Storm::Absence(Absence::Failing) => faults.fail_endorsements(EVERYTHING, 500, "simulated"),
        // These storms act on the ledger's clock, on the database or on the workers.
        Storm::Absence(Absence::Expired)
        | Storm::Forgetting { .. }
        | Storm::Stall(_)
        | Storm::Sleep => {}
    }
}

impl Run<'_> {
    /// Begins the storms that are drawn for this step.
    pub(crate) async fn begin_storms(&mut self, step: u32) -> Result<(), String> {
        let due = self.rates.storms.iter().filter(|(at, _)| *at == step);
        for storm in due.map(|(_, storm)| *storm).collect::<Vec<_>>() {
            self.note(format!("STORM: {storm}"));
            match storm {
                Storm::Forgetting { crowd, birthday, emails } => {
                    population::forget(self, crowd, birthday, emails).await?;
                    continue;
                }
                Storm::Stall(stall) => stall.begin(&mut self.env.own_conn().await).await,
                Storm::Absence(Absence::Expired) => {
                    self.env.ledger_clock.advance(CERTIFICATES_LAST);
                }
                Storm::Sleep => self.let_one_sleep().await,
                Storm::Refusal(_) | Storm::Absence(_) => {
                    impose(&storm, &self.env.devnet.faults());
                }
            }
            self.storms.begin(storm, &mut self.rng);
        }
        Ok(())
    }

    /// Plays a bout of a storm, if one is drawn: every worker takes a whole step of its loop, a
    /// block is cut and time passes. The single moves of a run would spend no budget in so few
    /// steps.
    pub(crate) async fn play_bout(&mut self) -> Result<(), String> {
        let Some(by) = self.storms.bout(&mut self.rng) else { return Ok(()) };
        work_once(self).await?;
        self.pass_time(by);
        self.note(format!("{by:?} pass"));
        Ok(())
    }

    /// Ends the storms that have no steps left.
    pub(crate) async fn end_storms(&mut self) {
        for storm in self.storms.step() {
            self.note(format!("STORM OVER: {storm}"));
            match storm {
                Storm::Stall(_) => DatabaseStall::end_all(&mut self.env.own_conn().await).await,
                Storm::Absence(Absence::Expired) => {
                    self.env.ledger_clock.set(self.env.clock.now());
                }
                Storm::Sleep => {
                    self.workers.actors.iter_mut().for_each(|actor| actor.is_asleep = false);
                }
                Storm::Refusal(_) | Storm::Absence(_) | Storm::Forgetting { .. } => {}
            }
            self.renew_faults();
        }
    }

    /// Clears the ledger's faults, and sets those again that continue.
    fn renew_faults(&self) {
        let faults = self.env.devnet.faults();
        faults.clear();
        faults.orderer_down(self.outage);
        self.storms.now().for_each(|storm| impose(storm, &faults));
    }

    /// Freezes a worker at its barrier, preferably one in the middle of a step. The server ends the
    /// idle session that holds the lead, as it does with a frozen leader in production.
    async fn let_one_sleep(&mut self) {
        let place = self.draw(NAMES.len(), |actor| !actor.is_between_steps());
        let actor = &mut self.workers.actors[place];
        actor.is_asleep = true;
        let (name, at, lead) = (actor.name, actor.at.clone(), actor.lead);
        self.note(format!("{name} is frozen at {at:?}"));
        if let Some(lead) = lead {
            self.end_session(lead).await;
            self.note("the server ends the session with which it leads");
        }
    }
}
