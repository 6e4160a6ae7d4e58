//! One run: a seed, its steps, the end of all faults, and the checks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gx_fabric_proto::protos::TxValidationCode;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::actor::Actor;
use crate::backup::Backup;
use crate::book::Book;
use crate::cast::{Cast, NAMES};
use crate::habits::{Act, Habits, some_time};
use crate::post::Post;
use crate::stage::Stage;
use crate::{checks, drain};

/// The copy that a run makes and goes back to.
const OLDER: Backup = Backup("sim_older");
/// How far a worker's clock may be wrong: the ledger itself knows the true time.
const WRONG_CLOCK_S: i64 = 600;
/// How often an actor is drawn again where another would be of more interest.
const DRAWS: u32 = 4;
/// Requests with which a run begins.
const FIRST_REQUESTS: u32 = 4;
/// A dead worker's connections end within that, in real time.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// What a run led to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened, a line each; the same for the same seed.
    pub trace: Vec<String>,
    /// What should not have happened.
    pub violation: Option<String>,
}

/// A run under way.
pub(crate) struct Play<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) rng: StdRng,
    pub(crate) habits: Habits,
    pub(crate) cast: Cast,
    pub(crate) book: Book,
    pub(crate) post: Post,
    pub(crate) trace: Vec<String>,
    pub(crate) restores: u32,
    /// Entries of the book at the moment of the copy.
    backed_up: Option<usize>,
    /// The database was put back while workers lived on.
    is_put_back_live: bool,
    outage: bool,
}

/// Plays one seed to its end.
pub async fn play(stage: &mut Stage, seed: u64, steps: u32) -> Outcome {
    stage.reset(seed).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let habits = Habits::draw(&mut rng);
    let cast = Cast::new(stage, &habits, seed);
    let mut play = Play {
        stage,
        rng,
        habits,
        cast,
        book: Book::default(),
        post: Post::default(),
        trace: Vec::new(),
        restores: 0,
        backed_up: None,
        is_put_back_live: false,
        outage: false,
    };
    let violation = play.play_out(steps).await.err();
    Outcome { trace: play.trace, violation }
}

impl Play<'_> {
    async fn play_out(&mut self, steps: u32) -> Result<(), String> {
        self.post.collect(&mut *self.stage.conn().await).await;
        // What was there before the run is not sent again.
        self.post.envelopes.clear();
        for _ in 0..FIRST_REQUESTS {
            self.act(Act::Ask).await?;
        }
        for _ in 0..steps {
            let act = self.habits.next(&mut self.rng);
            self.act(act).await?;
        }
        drain::drain(self).await?;
        checks::check(self).await
    }

    async fn act(&mut self, act: Act) -> Result<(), String> {
        let faults = self.stage.devnet.faults();
        match act {
            Act::Go => {
                let place = self.draw(self.cast.actors.len(), |actor| !actor.is_idle());
                self.go(place).await?;
            }
            Act::Cut => self.cut().await,
            Act::Ask => {
                let said = self.book.ask(self.stage, &mut self.rng).await?;
                self.note(said);
            }
            Act::Repeat => {
                let said = self.book.repeat(self.stage, &mut self.rng).await?;
                self.note(said);
            }
            Act::Operate => self.operate().await,
            Act::Kill => self.kill().await,
            Act::Freeze => self.freeze().await,
            Act::LoseReply => {
                faults.drop_submit_replies(1);
                self.note("the orderer's next answer will be lost");
            }
            Act::Forget => {
                faults.discard_submits(1);
                self.note("the orderer will forget the next envelope");
            }
            Act::FailEndorsement => {
                let status = if self.rng.random_bool(0.5) { 500 } else { 403 };
                faults.fail_endorsements(1, status, "simulated");
                self.note(format!("the next endorsement will fail with {status}"));
            }
            Act::Invalidate => self.invalidate(),
            Act::SendStale => self.send_stale().await,
            Act::CutStreams => {
                faults.end_streams();
                self.note("every stream ends");
            }
            Act::Outage => {
                self.outage = !self.outage;
                faults.orderer_down(self.outage);
                self.note(if self.outage { "the orderer is down" } else { "the orderer is back" });
            }
            Act::JumpClock => self.jump_clock(),
            Act::PassTime => {
                let by = some_time(&mut self.rng);
                self.pass_time(by);
                self.note(format!("{by:?} pass"));
            }
            Act::StealLead => self.steal_lead().await,
            Act::BackUp => {
                OLDER.take(&mut *self.stage.conn().await).await;
                self.backed_up = Some(self.book.entries.len());
                self.note("the database is copied");
            }
            Act::Restore => self.restore().await,
        }
        Ok(())
    }

    /// Lets an actor take its next step.
    pub(crate) async fn go(&mut self, place: usize) -> Result<(), String> {
        let actor = &mut self.cast.actors[place];
        if !actor.go().await {
            return Err(format!("{} hangs after {:?}", actor.name, actor.at));
        }
        let (name, at) = (actor.name, actor.at.clone());
        self.note(format!("{name}: {at}"));
        if at == "stored" {
            self.post.collect(&mut *self.stage.conn().await).await;
            checks::check_open(self.stage).await?;
        }
        if name.starts_with("projector") {
            self.watch_projector(place, &at).await?;
        }
        // A projector under which the database is put back says so once, and begins again; one
        // whose connection was cut fails before that, unless it had none yet.
        if at.contains("halted") && !(self.is_put_back_live && at.contains("was due")) {
            return Err(format!("{name} is {at}"));
        }
        Ok(())
    }

    async fn watch_projector(&mut self, place: usize, at: &str) -> Result<(), String> {
        let actor = &mut self.cast.actors[place];
        match at {
            "compared" | "received" if actor.lead.is_none() => {
                actor.lead = lead_holder(self.stage).await;
            }
            "applied" => checks::check_supply(self.stage).await?,
            _ if at.contains("stands by") || at.contains("failed") || at.contains("moved") => {
                actor.lead = None;
            }
            _ => {}
        }
        Ok(())
    }

    /// The orderer makes a block of what it has.
    pub(crate) async fn cut(&mut self) {
        let height = self.stage.devnet.cut_block().await.unwrap();
        if self.stage.height.swap(height, Ordering::SeqCst) != height {
            self.note(format!("block {} is cut", height - 1));
        }
    }

    pub(crate) fn pass_time(&mut self, by: Duration) {
        self.stage.clock.advance(by);
        for actor in &self.cast.actors {
            actor.clock.advance(by);
        }
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.trace.push(what.into());
    }

    /// Draws one of the first actors, rather one of whom this holds.
    fn draw(&mut self, among: usize, is_wanted: impl Fn(&Actor) -> bool) -> usize {
        let mut place = 0;
        for _ in 0..DRAWS {
            place = self.rng.random_range(0..among);
            if is_wanted(&self.cast.actors[place]) {
                break;
            }
        }
        place
    }

    async fn kill(&mut self) {
        let place = self.draw(NAMES.len(), |actor| !actor.is_between_steps());
        let dead = self.cast.replace(self.stage, &self.habits, place);
        self.note(format!("{} dies at {:?}", dead.name, dead.at));
        self.bury(vec![dead]).await;
    }

    async fn freeze(&mut self) {
        let place = self.draw(NAMES.len(), |actor| !actor.is_between_steps());
        let (name, at) = (NAMES[place], self.cast.actors[place].at.clone());
        self.note(format!("{name} sleeps at {at:?}, another takes its name"));
        if let Some(dead) = self.cast.freeze(self.stage, &self.habits, place) {
            self.bury(vec![dead]).await;
        }
    }

    /// Waits until the server has noticed that workers are gone.
    pub(crate) async fn bury(&mut self, dead: Vec<Actor>) {
        let leads: Vec<i32> = dead.iter().filter_map(|actor| actor.lead).collect();
        drop(dead);
        wait_gone(self.stage, leads).await;
    }

    fn invalidate(&mut self) {
        let code = if self.rng.random_bool(0.7) {
            TxValidationCode::MvccReadConflict
        } else {
            TxValidationCode::EndorsementPolicyFailure
        };
        self.stage.devnet.faults().force_validation_code(1, code);
        self.note(format!("the next transaction will be {}", code.as_str_name()));
    }

    async fn send_stale(&mut self) {
        if self.post.envelopes.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.post.envelopes.len());
        let (tx_id, envelope) = &self.post.envelopes[index];
        let sent = self.stage.ledger.submit(tx_id, envelope).await.is_ok();
        self.note(format!("envelope {index} is sent again: {sent}"));
    }

    fn jump_clock(&mut self) {
        let place = self.rng.random_range(0..self.cast.actors.len());
        let seconds = self.rng.random_range(-WRONG_CLOCK_S..=WRONG_CLOCK_S);
        let actor = &self.cast.actors[place];
        actor.clock.set(self.stage.clock.now() + time::Duration::seconds(seconds));
        let name = actor.name;
        self.note(format!("the clock of {name} is wrong by {seconds} s"));
    }

    async fn steal_lead(&mut self) {
        let Some(holder) = lead_holder(self.stage).await else { return };
        end_backends(self.stage, &[holder]).await;
        self.note("the projector's lead is lost");
    }

    /// Puts the database back: everybody dies with it, or the workers live on, without their
    /// connections or with them.
    async fn restore(&mut self) {
        let Some(entries) = self.backed_up else { return };
        self.post.collect(&mut *self.stage.conn().await).await;
        let mut conn = self.stage.own_conn().await;
        match self.rng.random_range(0..5) {
            0 | 1 => {
                let dead = self.cast.replace_all(self.stage, &self.habits);
                self.bury(dead).await;
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
        for entry in &mut self.book.entries[entries..] {
            entry.undone = true;
        }
        self.restores += 1;
    }

    async fn operate(&mut self) {
        let open: Vec<(String, String)> = sqlx::query_as(
            r#"SELECT "commandId", status FROM "OutboxCommand"
               WHERE status IN ('PENDING', 'HELD', 'BLOCKED', 'DEAD') ORDER BY number"#,
        )
        .fetch_all(self.stage.database.pool())
        .await
        .unwrap();
        if open.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..open.len());
        let (id, status) = &open[index];
        let retry = self.rng.random_bool(0.5);
        let done = drain::operate(self.stage, id, retry).await;
        let word = if retry { "retries" } else { "discards" };
        self.note(format!("an operator {word} open command {index}, {status}: {done}"));
    }
}

/// The server's process that holds the projector's lock.
async fn lead_holder(stage: &Stage) -> Option<i32> {
    sqlx::query_scalar(
        "SELECT pid FROM pg_locks
         WHERE locktype = 'advisory' AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_optional(stage.database.pool())
    .await
    .unwrap()
}

async fn end_backends(stage: &Stage, pids: &[i32]) {
    sqlx::query("SELECT pg_terminate_backend(pid) FROM unnest($1::integer[]) AS pid")
        .bind(pids)
        .execute(stage.database.pool())
        .await
        .unwrap();
    wait_gone(stage, pids.to_vec()).await;
}

/// Cuts every connection but this one.
async fn end_others(conn: &mut sqlx::PgConnection) {
    let others = "SELECT coalesce(sum(pg_terminate_backend(pid, 10000)::integer), 0)
                  FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(others).execute(conn).await.unwrap();
}

async fn wait_gone(stage: &Stage, pids: Vec<i32>) {
    if pids.is_empty() {
        return;
    }
    gx_testkit::eventually("the dead's connections end", GONE_WITHIN, async || {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)")
                .bind(&pids)
                .fetch_one(stage.database.pool())
                .await
                .unwrap();
        (left == 0).then_some(())
    })
    .await;
}
