//! The loop around the step, and what it says of itself.

use std::time::Duration;

use gx_fabric_client::{ChainError, LedgerError, PeerHeight};
use gx_model::CommandStatus;
use gx_outbox::{Listener, tip};
use gx_serve::{CheckHandle, HealthBoard, Verdict};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Halt, SubmitterError};
use crate::submitter::{Parts, Progress, Submitter};

/// A loop that has not turned for so long is stuck; above every timeout of one step.
const HEART_DEADLINE: Duration = Duration::from_secs(300);
/// How long a step that is under way may go on after the word to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often the ledger's height is asked for and the outbox is counted.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Counting the outbox may take one part in this many of the time.
const COUNT_SHARE: u32 = 50;
/// Pause before a connection for notifications is tried again, and after a failed step.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Least wait, so that a due time in the past never spins.
const LEAST_WAIT: Duration = Duration::from_millis(5);
/// Writer's name in the height samples.
const WRITER: &str = "submitter";

/// Runs until told to stop, through outages of ledger and database. Only another chain
/// behind the same address ends it by itself.
///
/// # Errors
/// [`Halt`]: this database and this ledger do not belong together.
pub async fn run(
    mut submitter: Submitter,
    shutdown: CancellationToken,
    board: HealthBoard,
) -> Result<(), Halt> {
    let health = Health::new(&board);
    let heart = board.heart("submitter", HEART_DEADLINE);
    let watch = tokio::spawn(watch(submitter.parts().clone(), health.clone()));
    let keep = submitter.settings.archive_after();
    let archive = tokio::spawn(crate::archive::archive(submitter.parts().clone(), keep));
    let mut listener = None;
    let ended = loop {
        heart.beat();
        if shutdown.is_cancelled() {
            break Ok(());
        }
        // Registered before looking: what is committed meanwhile is heard.
        if listener.is_none() {
            listener = register(submitter.parts()).await;
        }
        let step = tokio::select! {
            step = submitter.step() => step,
            () = grace_after(&shutdown) => break Ok(()),
        };
        let wait = match step {
            Ok(progress) => {
                health.progress(&submitter, &progress);
                if let Progress::Worked { tried, .. } = progress {
                    tokio::select! {
                        () = tokio::time::sleep(submitter.settings.gather(tried)) => {}
                        () = shutdown.cancelled() => {}
                    }
                    continue;
                }
                wait_after(&submitter, &progress).await
            }
            Err(SubmitterError::Halted(halt)) if is_for_good(&halt) => {
                tracing::error!(error = %halt, "submission is halted");
                break Err(halt);
            }
            Err(error) => {
                health.failure(&error);
                RETRY_PAUSE
            }
        };
        tokio::select! {
            () = heard(&mut listener) => {}
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => {}
        }
    };
    watch.abort();
    archive.abort();
    if let Err(error) = submitter.stop().await {
        tracing::warn!(error = %error, "the lanes were not given back; their lease will end");
    }
    ended
}

/// One bad block may be one bad peer's; another genesis block is not.
fn is_for_good(halt: &Halt) -> bool {
    match halt {
        Halt::Chain(wrong) => matches!(wrong, ChainError::OtherChain { .. }),
        Halt::ForeignAttempts { .. } => true,
    }
}

async fn grace_after(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(STOP_GRACE).await;
}

async fn register(parts: &Parts) -> Option<Listener> {
    match Listener::register(&parts.pool).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(error = %error, "no notifications; polling only");
            None
        }
    }
}

/// Waits for a notification, or for ever without a listener.
async fn heard(listener: &mut Option<Listener>) {
    let Some(registered) = listener else { return std::future::pending().await };
    if let Err(error) = registered.heard().await {
        tracing::warn!(error = %error, "lost the connection for notifications");
        *listener = None;
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Until the next due time, at most one poll.
async fn wait_after(submitter: &Submitter, progress: &Progress) -> Duration {
    let (now, poll) = (submitter.now(), submitter.settings.poll());
    let due = match progress {
        Progress::Paused { until, .. } => Some(*until),
        Progress::Waiting { .. } => Some(now + RETRY_PAUSE.min(poll) / 5),
        Progress::Idle | Progress::Worked { .. } => next_due(submitter).await,
    };
    let until_due = due.map_or(poll, |at| Duration::try_from(at - now).unwrap_or_default());
    until_due.clamp(LEAST_WAIT, poll.max(LEAST_WAIT))
}

async fn next_due(submitter: &Submitter) -> Option<time::OffsetDateTime> {
    let mut conn = submitter.parts.pool.acquire().await.ok()?;
    gx_outbox::next_due(&mut conn, submitter.now()).await.ok().flatten()
}

/// The checks that the submitter reports.
#[derive(Clone)]
struct Health {
    database: CheckHandle,
    ledger: CheckHandle,
    peers: CheckHandle,
    submission: CheckHandle,
    dead: CheckHandle,
    unverified: CheckHandle,
}

impl Health {
    fn new(board: &HealthBoard) -> Self {
        Self {
            database: board.check("database", true),
            ledger: board.check("ledger", true),
            peers: board.check("peers", false),
            submission: board.check("submission", false),
            dead: board.check("deadCommands", false),
            unverified: board.check("unverifiedCommands", false),
        }
    }

    fn progress(&self, submitter: &Submitter, progress: &Progress) {
        self.database.healthy();
        let (trouble, last) = {
            let standing = submitter.standing();
            (standing.troubles.now().map(str::to_owned), standing.troubles.last())
        };
        let verdict = match (progress, trouble) {
            (Progress::Waiting { height, applied }, _) => {
                let message = "waiting until the projector has reached the ledger's tip";
                let value = json!({ "height": height, "applied": applied });
                return self.submission.set(Verdict::unhealthy(message).with_value(value));
            }
            (_, Some(trouble)) => Verdict::unhealthy(trouble),
            (Progress::Paused { why, .. }, None) => {
                Verdict::unhealthy(format!("the ledger is left alone for a moment: {why}"))
            }
            (Progress::Idle | Progress::Worked { .. }, None) => Verdict::healthy(),
        };
        self.submission.set(verdict.with_value(json!({ "lastFailure": last })));
    }

    fn failure(&self, error: &SubmitterError) {
        match error {
            SubmitterError::Halted(halt) => {
                tracing::error!(error = %halt, "submission is halted");
                self.submission.set(Verdict::unhealthy(halt.to_string()));
            }
            SubmitterError::Ledger(error) => {
                tracing::warn!(
                    error = %error, phase = error.phase.name(), class = error.kind(),
                    "the ledger cannot be reached"
                );
                self.ledger.set(lost(error));
            }
            SubmitterError::Database(error) => {
                tracing::warn!(error = %error, "the database failed");
                self.database.set(Verdict::unhealthy(error.to_string()));
            }
        }
    }
}

/// Why the ledger does not serve, in words and as the metrics' class.
fn lost(error: &LedgerError) -> Verdict {
    Verdict::unhealthy(error.to_string()).with_value(error.labels())
}

/// Samples the ledger's height and counts the outbox, about once a second.
async fn watch(parts: Parts, health: Health) {
    let mut tick = tokio::time::interval(WATCH_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count_at = Instant::now();
    loop {
        tick.tick().await;
        let heights = parts.ledger.heights().await;
        let silent = PeerHeight::silent(&heights);
        health.peers.set(match silent.as_slice() {
            [] => Verdict::healthy(),
            _ => Verdict::unhealthy(silent.join("; ")),
        });
        let tip = PeerHeight::tip(&heights);
        health.ledger.set(match &tip {
            Ok(_) => Verdict::healthy(),
            Err(error) => lost(error),
        });
        let began = Instant::now();
        let counts = began >= count_at;
        if let Err(error) = look(&parts, &health, tip.ok(), counts).await {
            tracing::debug!(error = %error, "the outbox was not counted");
        }
        if counts {
            // A long backlog takes long to count, and its number matters less.
            count_at = Instant::now() + began.elapsed() * COUNT_SHARE;
        }
    }
}

async fn look(
    parts: &Parts,
    health: &Health,
    height: Option<u64>,
    counts: bool,
) -> Result<(), sqlx::Error> {
    let mut conn = parts.pool.acquire().await?;
    if let Some(height) = height.and_then(|height| i64::try_from(height).ok()) {
        tip::record(&mut conn, &parts.channel, height, WRITER, parts.clock.now()).await?;
    }
    if !counts {
        return Ok(());
    }
    let (census, now) = (gx_outbox::census(&mut conn).await?, parts.clock.now());
    metrics::gauge!("gx_ledger_attempts_open").set(as_gauge(census.open_attempts));
    metrics::gauge!("gx_ledger_attempt_oldest_open_age_seconds")
        .set(age(census.oldest_open_attempt, now));
    metrics::gauge!("gx_outbox_oldest_waiting_age_seconds").set(age(census.oldest_waiting, now));
    for (status, count) in census.commands {
        metrics::gauge!("gx_outbox_commands", "status" => status.name()).set(as_gauge(count));
        if status == CommandStatus::CommittedUnverified {
            health.unverified.set(match count {
                0 => Verdict::healthy(),
                _ => Verdict::unhealthy(format!(
                    "{count} commands have committed without their declared result"
                ))
                .with_value(json!({ "unverified": count })),
            });
        }
        if status == CommandStatus::Dead {
            health.dead.set(match count {
                0 => Verdict::healthy(),
                _ => Verdict::unhealthy(format!("{count} commands were given up"))
                    .with_value(json!({ "dead": count })),
            });
        }
    }
    Ok(())
}

/// Seconds since then; 0 where there is nothing.
fn age(since: Option<OffsetDateTime>, now: OffsetDateTime) -> f64 {
    since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0))
}

/// Gauges are floating point; beyond 2^53 the last digits do not matter.
#[allow(clippy::cast_precision_loss, reason = "a gauge is for looking at")]
fn as_gauge(count: i64) -> f64 {
    count as f64
}
