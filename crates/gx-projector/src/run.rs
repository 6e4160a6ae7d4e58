//! The loop of the projector, its health checks and its metrics. `gx projector` and `gx dev` call
//! [`run`]. A failed step is reported by a check and repeated after a random pause.

use std::time::Duration;

use gx_db::PgConnection;
use gx_fabric_client::{Ledger, LedgerError, PeerHeight};
use gx_outbox::tip::{self, Lag};
use gx_serve::problem::ErrorChain;
use gx_serve::telemetry::as_gauge;
use gx_serve::worker_loop::{self, FailureLog, Pause, Tasks, Worker};
use gx_serve::{CheckHandle, CheckResult, HealthBoard};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng as _};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::store::dead;
use crate::check::CommitHashCheck;
use crate::check::differences;
use crate::context::ProjectorContext;
use crate::error::{Halt, ProjectorError};
use crate::history::History;
use crate::operate::Reconciler;
use crate::progress_line::ProgressLine;
use crate::projector::{Progress, Projector};
use crate::settings::ProjectorSettings;

/// Longest time that one step waits for a block.
const STEP_WAIT: Duration = Duration::from_millis(500);
/// Time after which a loop that does not turn counts as stuck. It is longer than each timeout of a
/// step.
const HEART_DEADLINE: Duration = Duration::from_secs(120);
/// Longest first pause after a failed step; it doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(3);
/// How long the reconciliation may take to give back its task at shutdown.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The dead letters are counted again after this many times the duration of the last count.
const COUNT_PAUSE_FACTOR: u32 = 50;
/// Limit of the dead letters of one step that are logged one by one.
const MAX_LOGGED: usize = 20;
/// Name of the projector in the samples of the height.
const WRITER: &str = "projector";

/// Runs the projector until `shutdown`, through outages of ledger and database. It ends by itself
/// only if every configured peer of ours serves another chain.
///
/// # Errors
/// [`Halt::Chain`] if this database and this ledger do not belong together.
pub async fn run(
    projector: Projector,
    settings: ProjectorSettings,
    mut rng: StdRng,
    shutdown: CancellationToken,
    board: HealthBoard,
) -> Result<(), Halt> {
    let health = Health::new(&board);
    projector.step_progress().beat_heart(board.heart("projector", HEART_DEADLINE));
    let mut tasks = Tasks::new(&board);
    let watched = (projector.context().clone(), settings.clone(), health.clone());
    tasks.spawn("watch", move || {
        let (context, settings, health) = watched.clone();
        watch_tip(context, settings, health)
    });
    let commit_hashes = CommitHashCheck::new(projector.context().clone(), &board);
    let interval = settings.commit_hash_interval();
    tasks.spawn("commit hashes", move || commit_hashes.clone().watch(interval));
    let own_rng = StdRng::from_rng(&mut rng);
    let reconciler = Reconciler::new(projector.context().clone(), settings.lead(), own_rng, &board);
    let reconciler = reconciler.run(settings.reconcile_interval(), shutdown.clone());
    let mut reconciler = tokio::spawn(reconciler);
    let (history, line) = (History::default(), ProgressLine::new());
    let steps = FailureLog::default();
    let mut worker =
        ProjectorLoop { projector, settings, rng, health, history, line, failures: 0, steps };
    let ended = worker_loop::run(&mut worker, &shutdown).await;
    drop(tasks);
    if tokio::time::timeout(STOP_TIMEOUT, &mut reconciler).await.is_err() {
        reconciler.abort();
    }
    ended
}

/// The projector with what its loop needs.
struct ProjectorLoop {
    projector: Projector,
    settings: ProjectorSettings,
    rng: StdRng,
    health: Health,
    history: History,
    line: ProgressLine,
    /// Number of steps that have failed since the last one that succeeded.
    failures: u32,
    steps: FailureLog,
}

impl Worker for ProjectorLoop {
    type Halt = Halt;

    fn beat(&self) {
        self.projector.step_progress().beat();
    }

    async fn step(&mut self) -> Result<Pause, Halt> {
        match self.projector.step(STEP_WAIT).await {
            Ok(progress) => {
                match progress {
                    // A projector that has only begun may halt again at the same block.
                    Progress::Began { number } if !self.steps.is_failing() => {
                        tracing::info!(
                            block = number,
                            "projecting from the checkpoint, block {number}"
                        );
                    }
                    Progress::Began { .. } => {}
                    Progress::Applied(_) | Progress::Idle | Progress::Standby => {
                        self.failures = 0;
                        self.steps.succeeded("the step of the projector");
                    }
                }
                self.history.add(&progress, self.projector.stream());
                self.health.progress(&progress, &self.history);
                self.line.show(&progress, self.projector.height());
                Ok(Pause::For(match progress {
                    Progress::Standby => self.settings.standby_poll(),
                    Progress::Began { .. } | Progress::Applied(_) | Progress::Idle => {
                        Duration::ZERO
                    }
                }))
            }
            Err(ProjectorError::Halted(Halt::Chain(wrong)))
                if wrong.is_another_chain_everywhere() =>
            {
                tracing::error!(
                    error = %wrong,
                    "this database belongs to another ledger; check the channel and the peers in \
                     the connection profile"
                );
                Err(Halt::Chain(wrong))
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                if self.steps.is_new(&ErrorChain(&error)) {
                    log_failure(&error);
                }
                self.health.failure(&error);
                Ok(Pause::For(pause_after(self.failures, &mut self.rng)))
            }
        }
    }

    /// Gives up the lead, so that a standby need not wait until the session ends.
    async fn release(&mut self) {
        self.projector.stop();
    }
}

/// Returns a random pause; its limit grows with the failures.
fn pause_after(failures: u32, rng: &mut StdRng) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = FIRST_PAUSE.saturating_mul(factor).min(MAX_PAUSE);
    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.random_range(0..=longest))
}

/// The checks that the projector reports. [`ProjectorLoop`] sets them after a step, [`watch_tip`]
/// at each look at the ledger's height.
#[derive(Clone)]
struct Health {
    database: CheckHandle,
    ledger: CheckHandle,
    peers: CheckHandle,
    projection: CheckHandle,
    lag: CheckHandle,
    dead: CheckHandle,
    constants: CheckHandle,
}

impl Health {
    fn new(board: &HealthBoard) -> Self {
        Self {
            database: board.check("database", true),
            ledger: board.check("ledger", true),
            peers: board.check("peers", false),
            projection: board.check("projection", true),
            lag: board.check("projectionLag", false),
            dead: board.check("deadEvents", false),
            constants: board.check("constants", false),
        }
    }

    /// Reports a step that did not fail.
    fn progress(&self, progress: &Progress, history: &History) {
        self.database.healthy();
        let leads = *progress != Progress::Standby;
        metrics::gauge!("gx_projector_leads").set(f64::from(u8::from(leads)));
        let role = if leads { "leader" } else { "standby" };
        // A projector that has only begun may still find that it cannot follow any peer.
        if !matches!(progress, Progress::Began { .. }) {
            self.projection.set(CheckResult::healthy().with_value(json!({
                "role": role,
                "stream": history.stream(),
                "lastInvalid": history.last_invalid(),
            })));
        }
        match progress {
            Progress::Began { .. } => self.ledger.healthy(),
            Progress::Applied(applied) => {
                self.ledger.healthy();
                metrics::counter!("gx_blocks_applied_total").increment(applied.blocks);
                metrics::counter!("gx_events_applied_total").increment(applied.events);
                let held = u64::try_from(applied.held.len()).unwrap_or(u64::MAX);
                metrics::counter!("gx_events_rejected_total").increment(held);
                if applied.held.len() > MAX_LOGGED {
                    tracing::error!(
                        block = applied.number,
                        held,
                        "{held} events of block {} became dead letters; \
                         `gx projection dead list` lists all",
                        applied.number
                    );
                }
                for (name, reason) in applied.held.iter().take(MAX_LOGGED) {
                    tracing::error!(
                        block = applied.number,
                        event = name,
                        error = reason,
                        "event {name} of block {} became a dead letter; fix its cause and replay it",
                        applied.number
                    );
                }
                for kind in &applied.refused {
                    metrics::counter!("gx_commands_refused_total", "kind" => kind.clone())
                        .increment(1);
                }
                for (_, code) in &applied.invalid {
                    metrics::counter!("gx_invalid_transactions_total", "code" => code.clone())
                        .increment(1);
                }
            }
            Progress::Standby | Progress::Idle => {}
        }
    }

    /// Reports a step that failed; the loop repeats it.
    fn failure(&self, error: &ProjectorError) {
        match error {
            ProjectorError::Halted(halt) => {
                let value = json!({ "role": "halted" });
                self.projection.unhealthy(halt.to_string(), value);
            }
            ProjectorError::Ledger(error) => self.ledger.set(lost(error)),
            // The database is not at fault: the check `databaseLocks` names the session that holds
            // the lock, and the monitor renews connections after a migration.
            ProjectorError::Database(error)
                if gx_db::is_lock_timeout(error) || gx_db::is_stale_plan(error) => {}
            ProjectorError::Database(error) => {
                self.database.set(CheckResult::unhealthy(error.to_string()));
            }
            ProjectorError::CheckpointMoved => {}
        }
    }
}

/// Logs a step that failed.
fn log_failure(error: &ProjectorError) {
    match error {
        ProjectorError::Halted(halt) => {
            tracing::error!(error = %halt, "projection is halted; remove the cause that `error` names");
        }
        ProjectorError::Ledger(error) => error.log_unreachable(),
        ProjectorError::Database(error) => {
            worker_loop::log_database_failure("the read model", error);
        }
        ProjectorError::CheckpointMoved => {
            tracing::warn!("another projector moved the checkpoint; this one steps down");
        }
    }
}

/// Samples the ledger's height independently of the block stream, and reports the lag.
async fn watch_tip(context: ProjectorContext, settings: ProjectorSettings, health: Health) {
    let mut tick = tokio::time::interval(settings.tip_interval());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut held = HeldCount::default();
    loop {
        tick.tick().await;
        let height = newest_height(&context.ledger, &health).await;
        if let Err(error) = report(&context, &settings, height, &mut held, &health).await {
            tracing::debug!(error = %error, "the height cannot be recorded");
            health.lag.unknown("the database cannot be reached");
        }
    }
}

/// Returns the greatest height of our organisation's peers, or `None` if none of them answers.
/// Reports peers that do not answer, and how far other organisations are ahead.
async fn newest_height(ledger: &Ledger, health: &Health) -> Option<i64> {
    let heights = ledger.heights().await;
    let unhealthy = PeerHeight::unhealthy_peers(&heights);
    health.peers.set(match unhealthy.as_slice() {
        [] => CheckResult::healthy(),
        _ => CheckResult::unhealthy(unhealthy.join("; ")),
    });
    metrics::gauge!("gx_ledger_blocks_behind_others")
        .set(as_gauge(PeerHeight::behind_others(&heights)));
    let tip = PeerHeight::tip(&heights);
    health.ledger.set(match &tip {
        Ok(_) => CheckResult::healthy(),
        Err(error) => lost(error),
    });
    tip.ok().and_then(|height| i64::try_from(height).ok())
}

/// Returns the check result for a ledger that cannot be reached.
fn lost(error: &LedgerError) -> CheckResult {
    CheckResult::unhealthy(error.to_string()).with_value(error.labels())
}

/// Records the height, and reports the lag, the constants and the dead letters. If a statement
/// fails, the caller reports the lag as unknown and tries again at the next tick.
async fn report(
    context: &ProjectorContext,
    settings: &ProjectorSettings,
    height: Option<i64>,
    held: &mut HeldCount,
    health: &Health,
) -> Result<(), sqlx::Error> {
    let mut conn = context.pool.acquire().await?;
    let (channel, now) = (&context.settings.channel, context.clock.now());
    if let Some(height) = height {
        tip::record(&mut conn, channel, height, WRITER, now).await?;
        let known = gx_outbox::tip::checkpoint(&mut conn, channel).await?;
        if let Some(known) = known.filter(|known| height <= known.block_number) {
            health.ledger.set(CheckResult::unhealthy(format!(
                "the ledger has lost blocks: it has {height}, but block {} was applied",
                known.block_number
            )));
        }
    }
    match tip::lag(&mut conn, channel, settings.tip_max_age(), now).await? {
        Lag::Known { blocks, age } => {
            metrics::gauge!("gx_projection_lag_blocks").set(as_gauge(blocks));
            let lag_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            metrics::gauge!("gx_projection_lag_ms").set(as_gauge(lag_ms));
            let value = json!({ "lagBlocks": blocks, "lagMs": lag_ms });
            health.lag.set(CheckResult::healthy().with_value(value));
            if blocks == 0 {
                let found = differences(&mut conn).await?;
                let names: Vec<_> = found.iter().map(ToString::to_string).collect();
                health.constants.set(if names.is_empty() {
                    CheckResult::healthy()
                } else {
                    CheckResult::unhealthy(names.join("; ")).with_value(json!(names))
                });
            }
        }
        Lag::Unknown { reason } => {
            // An unknown lag is not a number; the last value would look like a current one.
            metrics::gauge!("gx_projection_lag_blocks").set(f64::NAN);
            metrics::gauge!("gx_projection_lag_ms").set(f64::NAN);
            health.lag.unknown(reason);
        }
    }
    report_dead(&mut conn, channel, held, health).await
}

/// When the dead letters are counted next.
#[derive(Default)]
struct HeldCount {
    /// Time of the next count, so that counting takes only a small part of the time.
    due: Option<Instant>,
}

/// Counts the dead letters if a count is due, and reports their number.
async fn report_dead(
    conn: &mut PgConnection,
    channel: &str,
    count: &mut HeldCount,
    health: &Health,
) -> Result<(), sqlx::Error> {
    let begun = Instant::now();
    if count.due.is_some_and(|due| begun < due) {
        return Ok(());
    }
    let held = dead::count_held(conn, channel).await?;
    count.due = Some(begun + begun.elapsed() * COUNT_PAUSE_FACTOR);
    metrics::gauge!("gx_dead_events").set(as_gauge(held));
    health.dead.set(match held {
        0 => CheckResult::healthy(),
        _ => CheckResult::unhealthy(format!("{held} events are held as dead letters"))
            .with_value(json!({ "held": held })),
    });
    Ok(())
}
