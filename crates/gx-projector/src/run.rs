//! The loop around the step, and what it says of itself.

use std::time::Duration;

use gx_fabric_client::{ChainError, Ledger, LedgerError, PeerHeight};
use gx_outbox::tip::{self, Lag};
use gx_serve::{CheckHandle, HealthBoard, Verdict};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::agreement::Agreement;
use crate::compare::differences;
use crate::error::{Halt, ProjectorError};
use crate::history::History;
use crate::progress_line::ProgressLine;
use crate::projector::{Parts, Progress, Projector};
use crate::reconcile::Reconciler;
use crate::settings::ProjectorSettings;
use crate::store::dead;

/// Longest wait of one step for a block.
const STEP_WAIT: Duration = Duration::from_millis(500);
/// A loop that has not turned for so long is stuck; above every timeout of one step.
const HEART_DEADLINE: Duration = Duration::from_secs(120);
/// The first pause after a failed step is at most this long; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Writer's name in the height samples.
const WRITER: &str = "projector";

/// Runs until told to stop, through outages of ledger and database. Only another chain
/// behind the same address ends it by itself.
///
/// # Errors
/// [`Halt::Chain`]: this database and this ledger do not belong together.
pub async fn run(
    mut projector: Projector,
    settings: ProjectorSettings,
    mut rng: StdRng,
    shutdown: CancellationToken,
    board: HealthBoard,
) -> Result<(), Halt> {
    let health = Health::new(&board);
    let heart = board.heart("projector", HEART_DEADLINE);
    let watch = watch_tip(projector.parts().clone(), settings.clone(), health.clone());
    let watch = tokio::spawn(shutdown.clone().run_until_cancelled_owned(watch));
    let agreement = Agreement::new(projector.parts().clone(), &board);
    let agreement = agreement.watch(settings.commit_hash_interval());
    let agreement = tokio::spawn(shutdown.clone().run_until_cancelled_owned(agreement));
    let own_rng = StdRng::from_rng(&mut rng);
    let reconciler = Reconciler::new(projector.parts().clone(), own_rng, &board);
    let reconciler = reconciler.watch(settings.reconcile_interval());
    let reconciler = tokio::spawn(shutdown.clone().run_until_cancelled_owned(reconciler));
    let (mut failures, mut history) = (0_u32, History::default());
    let mut line = ProgressLine::new();
    let ended = loop {
        heart.beat();
        let step = shutdown.run_until_cancelled(projector.step(STEP_WAIT)).await;
        let pause = match step {
            None => break Ok(()),
            Some(Ok(progress)) => {
                failures = 0;
                history.add(&progress, projector.stream());
                health.progress(&progress, &history);
                line.show(&progress, projector.height());
                match progress {
                    Progress::Standby => settings.standby_poll(),
                    Progress::Began { .. } | Progress::Applied(_) | Progress::Idle => continue,
                }
            }
            Some(Err(ProjectorError::Halted(Halt::Chain(wrong)))) if is_other_chain(&wrong) => {
                tracing::error!(error = %wrong, "the ledger is not the one of this database");
                break Err(Halt::Chain(wrong));
            }
            Some(Err(error)) => {
                failures = failures.saturating_add(1);
                health.failure(&error);
                pause_after(failures, &mut rng)
            }
        };
        if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            break Ok(());
        }
    };
    projector.stop();
    watch.abort();
    agreement.abort();
    reconciler.abort();
    ended
}

/// One bad block may be one bad peer's; another genesis or checkpoint block is not.
fn is_other_chain(wrong: &ChainError) -> bool {
    matches!(wrong, ChainError::OtherChain { .. })
}

/// Growing pauses with full jitter.
fn pause_after(failures: u32, rng: &mut StdRng) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.random_range(0..=longest))
}

/// The checks that the projector reports.
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

    fn progress(&self, progress: &Progress, history: &History) {
        self.database.healthy();
        let leads = *progress != Progress::Standby;
        metrics::gauge!("gx_projector_leads").set(f64::from(u8::from(leads)));
        let role = if leads { "leader" } else { "standby" };
        self.projection.set(Verdict::healthy().with_value(json!({
            "role": role,
            "stream": history.stream(),
            "lastInvalid": history.last_invalid(),
        })));
        match progress {
            Progress::Began { number } => {
                self.ledger.healthy();
                tracing::info!(block = number, "projecting from the checkpoint");
            }
            Progress::Applied(applied) => {
                self.ledger.healthy();
                metrics::counter!("gx_blocks_applied_total").increment(applied.blocks);
                metrics::counter!("gx_events_applied_total").increment(applied.events);
                for (name, reason) in &applied.held {
                    metrics::counter!("gx_events_rejected_total").increment(1);
                    tracing::error!(
                        block = applied.number,
                        event = name,
                        reason,
                        "an event is a dead letter; fix its cause and replay it"
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

    fn failure(&self, error: &ProjectorError) {
        match error {
            ProjectorError::Halted(halt) => {
                tracing::error!(error = %halt, "projection is halted");
                let value = json!({ "role": "halted" });
                self.projection.unhealthy(halt.to_string(), value);
            }
            ProjectorError::Ledger(error) => {
                tracing::warn!(
                    error = %error, phase = error.phase.name(), class = error.kind(),
                    "the ledger cannot be reached"
                );
                self.ledger.set(lost(error));
            }
            ProjectorError::Database(error) => {
                tracing::warn!(error = %error, "the database failed");
                self.database.set(Verdict::unhealthy(error.to_string()));
            }
            ProjectorError::CheckpointMoved => {
                tracing::warn!("another projector moved the checkpoint; stepping back");
            }
        }
    }
}

/// Samples the ledger's height, apart from the stream, and reports the lag.
async fn watch_tip(parts: Parts, settings: ProjectorSettings, health: Health) {
    let mut tick = tokio::time::interval(settings.tip_interval());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let height = newest_height(&parts.ledger, &health).await;
        if let Err(error) = report(&parts, &settings, height, &health).await {
            tracing::debug!(error = %error, "the height was not recorded");
            health.lag.unknown("the database cannot be reached");
        }
    }
}

/// The greatest height that a peer of our organisation names; says what went wrong where
/// none does, and how far others are ahead.
async fn newest_height(ledger: &Ledger, health: &Health) -> Option<i64> {
    let heights = ledger.heights().await;
    let silent = PeerHeight::silent(&heights);
    health.peers.set(match silent.as_slice() {
        [] => Verdict::healthy(),
        _ => Verdict::unhealthy(silent.join("; ")),
    });
    metrics::gauge!("gx_ledger_blocks_behind_others")
        .set(as_gauge(PeerHeight::behind_others(&heights)));
    let tip = PeerHeight::tip(&heights);
    health.ledger.set(match &tip {
        Ok(_) => Verdict::healthy(),
        Err(error) => lost(error),
    });
    tip.ok().and_then(|height| i64::try_from(height).ok())
}

/// Why the ledger does not serve, in words and as the metrics' class.
fn lost(error: &LedgerError) -> Verdict {
    Verdict::unhealthy(error.to_string()).with_value(error.labels())
}

async fn report(
    parts: &Parts,
    settings: &ProjectorSettings,
    height: Option<i64>,
    health: &Health,
) -> Result<(), sqlx::Error> {
    let mut conn = parts.pool.acquire().await?;
    let (channel, now) = (&parts.rules.channel, parts.clock.now());
    if let Some(height) = height {
        tip::record(&mut conn, channel, height, WRITER, now).await?;
        let known = gx_outbox::checkpoint(&mut conn, channel).await?;
        if let Some(known) = known.filter(|known| height <= known.block_number) {
            health.ledger.set(Verdict::unhealthy(format!(
                "the ledger has {height} blocks, but block {} was applied: it lost some",
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
            health.lag.set(Verdict::healthy().with_value(value));
            if blocks == 0 {
                let found = differences(&mut conn).await?;
                let names: Vec<_> = found.iter().map(ToString::to_string).collect();
                health.constants.set(if names.is_empty() {
                    Verdict::healthy()
                } else {
                    Verdict::unhealthy(names.join("; ")).with_value(json!(names))
                });
            }
        }
        Lag::Unknown { reason } => {
            // No number is right, and an old one would look like one.
            metrics::gauge!("gx_projection_lag_blocks").set(f64::NAN);
            metrics::gauge!("gx_projection_lag_ms").set(f64::NAN);
            health.lag.unknown(reason);
        }
    }
    let held = dead::count_held(&mut conn, channel).await?;
    metrics::gauge!("gx_dead_events").set(as_gauge(held.unsigned_abs()));
    health.dead.set(match held {
        0 => Verdict::healthy(),
        _ => Verdict::unhealthy(format!("{held} events are held as dead letters"))
            .with_value(json!({ "held": held })),
    });
    Ok(())
}

/// Gauges are floating point; beyond 2^53 the last digits do not matter.
#[allow(clippy::cast_precision_loss, reason = "a gauge is for looking at")]
fn as_gauge(count: u64) -> f64 {
    count as f64
}
