//! One run of a seed: its steps, the end of all faults, and the checks. `main` and the tests call
//! [`run_seed`]. An `Err` of a function here is the guarantee that was violated, and ends the run.

mod active_storms;
mod checks;
mod drain;
mod people;
mod population;
mod rounds;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gx_fabric_proto::protos::TxValidationCode;
use gx_model::EventRecord;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::active_storms::ActiveStorms;
use crate::actor::Actor;
use crate::client_log::{ClientLog, Request};
use crate::environment::{Environment, OLDER};
use crate::fault_rates::{Action, FaultRates};
use crate::old_envelopes::OldEnvelopes;
use crate::workers::{NAMES, Workers};

/// Limit, in seconds, by which a worker's clock may be wrong. The ledger always has the correct
/// time.
const WRONG_CLOCK_S: i64 = 600;
/// Number of draws of an actor until one is preferred.
const MAX_DRAWS: u32 = 4;
/// Number of requests with which a run begins.
const FIRST_REQUESTS: u32 = 4;
/// Limit, in real time, within which a dead worker's connections end.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened, one line for each event; the same for the same seed.
    pub trace: Vec<String>,
    /// The guarantee that was violated, if any.
    pub violation: Option<String>,
}

/// A run in progress.
pub(crate) struct Run<'a> {
    pub(crate) env: &'a Environment,
    pub(crate) rng: StdRng,
    pub(crate) rates: FaultRates,
    pub(crate) workers: Workers,
    pub(crate) clients: ClientLog,
    pub(crate) old_envelopes: OldEnvelopes,
    pub(crate) trace: Vec<String>,
    pub(crate) restores: u32,
    pub(crate) storms: ActiveStorms,
    /// The profile of each Fabric User ID, including those that a restore forgot.
    pub(crate) owners: people::Owners,
    /// Number of times that a worker died or was frozen.
    pub(crate) interrupted: u32,
    /// Time that has passed.
    pub(crate) passed: Duration,
    /// Number of entries of the client log when the database was copied; `None` before that.
    backed_up: Option<usize>,
    /// Whether the database was restored while workers kept running.
    is_put_back_live: bool,
    /// Whether the orderer is down.
    pub(crate) outage: bool,
}

/// Returns descriptions of the storms of a seed.
pub fn storms_of(seed: u64, steps: u32) -> Vec<String> {
    let rates = FaultRates::draw(&mut StdRng::seed_from_u64(seed), steps);
    rates.storms.iter().map(|(_, storm)| storm.to_string()).collect()
}

/// Plays one seed to its end and returns the result.
pub async fn run_seed(env: &mut Environment, seed: u64, steps: u32) -> Outcome {
    env.reset(seed).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let rates = FaultRates::draw(&mut rng, steps);
    let workers = Workers::new(env, &rates, seed);
    let mut run = Run {
        env,
        rng,
        rates,
        workers,
        clients: ClientLog::default(),
        old_envelopes: OldEnvelopes::default(),
        trace: Vec::new(),
        restores: 0,
        storms: ActiveStorms::default(),
        owners: BTreeMap::new(),
        interrupted: 0,
        passed: Duration::ZERO,
        backed_up: None,
        is_put_back_live: false,
        outage: false,
    };
    let violation = run.run_to_end(steps).await.err();
    Outcome { trace: run.trace, violation }
}

impl Run<'_> {
    /// Plays all steps, ends the faults, and checks the guarantees.
    async fn run_to_end(&mut self, steps: u32) -> Result<(), String> {
        self.old_envelopes.collect(&mut *self.env.conn().await).await;
        // Envelopes from before the run are not sent again.
        self.old_envelopes.envelopes.clear();
        for _ in 0..FIRST_REQUESTS {
            self.action(Action::Ask).await?;
        }
        let mut step = 0;
        while step < steps || self.storms.is_stormy() {
            self.begin_storms(step).await?;
            self.play_bout().await?;
            let action = self.rates.next(&mut self.rng);
            self.action(action).await?;
            self.end_storms().await;
            step += 1;
        }
        drain::drain(self).await?;
        checks::check(self).await
    }

    /// Carries out an action.
    async fn action(&mut self, action: Action) -> Result<(), String> {
        let faults = self.env.devnet.faults();
        match action {
            Action::Go => {
                let place = self.draw(self.workers.actors.len(), |actor| !actor.is_idle());
                if self.may_go(place) {
                    self.go(place).await?;
                }
            }
            Action::Cut => self.cut().await,
            Action::Ask => {
                let said = self.clients.ask(self.env, &mut self.rng).await?;
                self.note(said);
            }
            Action::Repeat => {
                let said = self.clients.repeat(self.env, &mut self.rng).await?;
                self.note(said);
            }
            Action::Operate => self.operate().await,
            Action::Kill => self.kill().await,
            Action::Freeze => self.freeze().await,
            Action::LoseReply => {
                faults.drop_submit_replies(1);
                self.note("the orderer's next answer will be lost");
            }
            Action::Forget => {
                faults.discard_submits(1);
                self.note("the orderer will forget the next envelope");
            }
            Action::FailEndorsement => {
                let status = if self.rng.random_bool(0.5) { 500 } else { 403 };
                faults.fail_endorsements(1, status, "simulated");
                self.note(format!("the next endorsement will fail with {status}"));
            }
            Action::Invalidate => self.invalidate(),
            Action::SendStale => self.send_stale().await,
            Action::CutStreams => {
                faults.end_streams();
                self.note("every stream ends");
            }
            Action::Outage => {
                self.outage = !self.outage;
                faults.orderer_down(self.outage);
                self.note(if self.outage { "the orderer is down" } else { "the orderer is back" });
            }
            Action::JumpClock => self.jump_clock(),
            Action::PassTime => {
                let by = self.rates.some_time(&mut self.rng);
                self.pass_time(by);
                self.note(format!("{by:?} pass"));
            }
            Action::StealLead => self.steal_lead().await,
            Action::BackUp => self.back_up().await,
            Action::Restore => self.restore().await,
        }
        Ok(())
    }

    /// Returns whether an actor can move. A frozen one cannot. A projector cannot while no peer
    /// delivers blocks, because what it finds would depend on the speed of the machine.
    pub(crate) fn may_go(&self, place: usize) -> bool {
        let actor = &self.workers.actors[place];
        let is_blind = actor.name.starts_with("projector") && self.storms.hides_blocks();
        !actor.is_asleep && !is_blind
    }

    /// Lets an actor take its next step.
    pub(crate) async fn go(&mut self, place: usize) -> Result<(), String> {
        let actor = &mut self.workers.actors[place];
        if !actor.go().await {
            return Err(format!("{} hangs after {:?}", actor.name, actor.at));
        }
        let (name, at) = (actor.name, actor.at.clone());
        self.note(format!("{name}: {at}"));
        if at == "stored" {
            self.old_envelopes.collect(&mut *self.env.conn().await).await;
            checks::check_open(self.env).await?;
        }
        if name.starts_with("projector") {
            self.watch_projector(place, &at).await?;
        }
        // A projector whose database is restored under it reports that once and begins again. If
        // its connection was cut, it fails before that, unless it had no connection yet.
        if at.contains("halted") && !(self.is_put_back_live && at.contains("was due")) {
            return Err(format!("{name} is {at}"));
        }
        Ok(())
    }

    /// Remembers which session leads, and checks the supply after each application.
    async fn watch_projector(&mut self, place: usize, at: &str) -> Result<(), String> {
        let actor = &mut self.workers.actors[place];
        match at {
            "compared" | "received" if actor.lead.is_none() => {
                actor.lead = lead_holder(self.env).await;
            }
            "applied" => checks::check_supply(self.env).await?,
            _ if at.contains("stands by") || at.contains("failed") || at.contains("moved") => {
                actor.lead = None;
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes the orderer cut a block of the envelopes that it has.
    pub(crate) async fn cut(&mut self) {
        let height = self.env.devnet.cut_block().await.unwrap();
        if self.env.height.swap(height, Ordering::SeqCst) != height {
            self.note(format!("block {} is cut", height - 1));
        }
    }

    /// Moves the clocks of services, ledger and workers.
    pub(crate) fn pass_time(&mut self, by: Duration) {
        self.env.pass_time(by);
        self.passed += by;
        for actor in &self.workers.actors {
            actor.clock.advance(by);
        }
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.trace.push(what.into());
    }

    /// Sends a request and records it in the trace.
    pub(crate) async fn ask_for(&mut self, request: Request) -> Result<(), String> {
        let said = self.clients.send(self.env, request, false, false).await?;
        self.note(said);
        Ok(())
    }

    /// Draws one of the first actors, preferably one for which `is_wanted` holds.
    pub(crate) fn draw(&mut self, among: usize, is_wanted: impl Fn(&Actor) -> bool) -> usize {
        let mut place = 0;
        for _ in 0..MAX_DRAWS {
            place = self.rng.random_range(0..among);
            if is_wanted(&self.workers.actors[place]) {
                break;
            }
        }
        place
    }

    async fn kill(&mut self) {
        let place = self.draw(NAMES.len(), |actor| !actor.is_between_steps());
        let dead = self.workers.replace(self.env, &self.rates, place);
        self.interrupted += 1;
        self.note(format!("{} dies at {:?}", dead.name, dead.at));
        self.wait_until_gone(vec![dead]).await;
    }

    async fn freeze(&mut self) {
        let place = self.draw(NAMES.len(), |actor| !actor.is_between_steps());
        let (name, at) = (NAMES[place], self.workers.actors[place].at.clone());
        self.interrupted += 1;
        self.note(format!("{name} sleeps at {at:?}, another takes its name"));
        if let Some(dead) = self.workers.freeze(self.env, &self.rates, place) {
            self.wait_until_gone(vec![dead]).await;
        }
    }

    /// Waits until the server has noticed that these workers are gone.
    pub(crate) async fn wait_until_gone(&mut self, dead: Vec<Actor>) {
        let leads: Vec<i32> = dead.iter().filter_map(|actor| actor.lead).collect();
        drop(dead);
        wait_gone(self.env, leads).await;
    }

    /// Replaces the projectors by those of a release that can read every event.
    pub(crate) async fn upgrade(&mut self) {
        self.rates.decode = EventRecord::decode;
        for place in 2..NAMES.len() {
            let old = self.workers.replace(self.env, &self.rates, place);
            self.wait_until_gone(vec![old]).await;
        }
    }

    fn invalidate(&mut self) {
        let code = if self.rng.random_bool(0.7) {
            TxValidationCode::MvccReadConflict
        } else {
            TxValidationCode::EndorsementPolicyFailure
        };
        self.env.devnet.faults().force_validation_code(1, code);
        self.note(format!("the next transaction will be {}", code.as_str_name()));
    }

    async fn send_stale(&mut self) {
        if self.old_envelopes.envelopes.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.old_envelopes.envelopes.len());
        let (tx_id, envelope) = &self.old_envelopes.envelopes[index];
        let sent = self.env.ledger.submit(tx_id, envelope).await.is_ok();
        self.note(format!("envelope {index} is sent again: {sent}"));
    }

    fn jump_clock(&mut self) {
        let place = self.rng.random_range(0..self.workers.actors.len());
        let seconds = self.rng.random_range(-WRONG_CLOCK_S..=WRONG_CLOCK_S);
        let actor = &self.workers.actors[place];
        actor.clock.set(self.env.clock.now() + time::Duration::seconds(seconds));
        let name = actor.name;
        self.note(format!("the clock of {name} is wrong by {seconds} s"));
    }

    async fn steal_lead(&mut self) {
        let Some(holder) = lead_holder(self.env).await else { return };
        self.end_session(holder).await;
        self.note("the projector's lead is lost");
    }

    /// Makes the server end a session.
    pub(crate) async fn end_session(&self, pid: i32) {
        end_backends(self.env, &[pid]).await;
    }

    /// Copies the database.
    pub(crate) async fn back_up(&mut self) {
        OLDER.take(&mut *self.env.conn().await).await;
        self.backed_up = Some(self.clients.entries.len());
        self.note("the database is copied");
    }

    /// Restores the copy of the database. The workers die, or keep running with or without their
    /// connections.
    pub(crate) async fn restore(&mut self) {
        let Some(entries) = self.backed_up else { return };
        self.old_envelopes.collect(&mut *self.env.conn().await).await;
        people::remember_owners(self).await;
        let mut conn = self.env.own_conn().await;
        match self.rng.random_range(0..5) {
            0 | 1 => {
                let dead = self.workers.replace_all(self.env, &self.rates);
                self.interrupted += 2;
                self.wait_until_gone(dead).await;
                self.note("the database is put back, and everybody begins again");
            }
            2 | 3 => {
                self.is_put_back_live = true;
                end_others(&mut conn).await;
                self.note("the database is put back, and every connection is cut");
            }
            _ => {
                self.is_put_back_live = true;
                self.note("the database is put back under the workers");
            }
        }
        OLDER.restore(&mut conn).await;
        for entry in &mut self.clients.entries[entries..] {
            entry.undone = true;
        }
        self.restores += 1;
    }

    async fn operate(&mut self) {
        let open: Vec<(String, String)> = sqlx::query_as(
            r#"SELECT "commandId", status FROM "OutboxCommand"
               WHERE status IN ('PENDING', 'HELD', 'BLOCKED', 'DEAD') ORDER BY number"#,
        )
        .fetch_all(&self.env.pool)
        .await
        .unwrap();
        if open.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..open.len());
        let (id, status) = &open[index];
        let retry = self.rng.random_bool(0.5);
        let done = drain::operate(self.env, id, retry).await;
        let word = if retry { "retries" } else { "discards" };
        self.note(format!("an operator {word} open command {index}, {status}: {done}"));
    }
}

/// Returns the process id of the session that holds the projector's lock.
async fn lead_holder(env: &Environment) -> Option<i32> {
    sqlx::query_scalar(
        "SELECT pid FROM pg_locks
         WHERE locktype = 'advisory' AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_optional(&env.pool)
    .await
    .unwrap()
}

async fn end_backends(env: &Environment, pids: &[i32]) {
    sqlx::query("SELECT pg_terminate_backend(pid) FROM unnest($1::integer[]) AS pid")
        .bind(pids)
        .execute(&env.pool)
        .await
        .unwrap();
    wait_gone(env, pids.to_vec()).await;
}

/// Cuts all connections except this one.
async fn end_others(conn: &mut sqlx::PgConnection) {
    let others = "SELECT coalesce(sum(pg_terminate_backend(pid, 10000)::integer), 0)
                  FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(others).execute(conn).await.unwrap();
}

async fn wait_gone(env: &Environment, pids: Vec<i32>) {
    if pids.is_empty() {
        return;
    }
    gx_testkit::eventually("the connections of dead workers end", GONE_WITHIN, async || {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)")
                .bind(&pids)
                .fetch_one(&env.pool)
                .await
                .unwrap();
        (left == 0).then_some(())
    })
    .await;
}
