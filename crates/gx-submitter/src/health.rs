//! The health checks and metrics of the submitter. [`crate::run()`] reports each step to
//! [`Health`], and runs [`watch`] beside the loop. A failure here is shown and repeated.

use std::time::Duration;

use gx_fabric_client::{BlockId, LedgerError, PeerHeight};
use gx_model::CommandStatus;
use gx_outbox::tip;
use gx_serve::telemetry::as_gauge;
use gx_serve::{CheckHandle, CheckResult, HealthBoard, worker_loop};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::error::SubmitterError;
use crate::submitter::{Progress, Submitter, SubmitterContext, to_hash};

/// How often the ledger's height is read and the outbox is counted.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Counting the outbox may take one part in this many of the time.
const COUNT_SHARE: u32 = 50;
/// Name of the submitter in the samples of the height.
const WRITER: &str = "submitter";

/// The checks that the submitter reports. The loop sets them after a step, [`watch`] about
/// once a second.
#[derive(Clone)]
pub(crate) struct Health {
    database: CheckHandle,
    ledger: CheckHandle,
    peers: CheckHandle,
    submission: CheckHandle,
    dead: CheckHandle,
    unverified: CheckHandle,
}

impl Health {
    pub(crate) fn new(board: &HealthBoard) -> Self {
        Self {
            database: board.check("database", true),
            ledger: board.check("ledger", true),
            peers: board.check("peers", false),
            submission: board.check("submission", false),
            dead: board.check("deadCommands", false),
            unverified: board.check("unverifiedCommands", false),
        }
    }

    /// Reports a step that did not fail.
    pub(crate) fn progress(&self, submitter: &Submitter, progress: &Progress) {
        self.database.healthy();
        let (failure, last, outage) = {
            let shared = submitter.shared();
            let failures = &shared.recent_failures;
            (failures.current().map(str::to_owned), failures.last(), shared.outage().cloned())
        };
        let seconds = outage.as_ref().map(|outage| age(Some(outage.since), submitter.now()));
        metrics::gauge!("gx_submission_outage_seconds").set(seconds.unwrap_or(0.0));
        if let Some(outage) = outage {
            let value = json!({ "lastFailure": last, "outage": outage.to_json() });
            return self.submission.set(CheckResult::unhealthy(outage.summary()).with_value(value));
        }
        let result = match (progress, failure) {
            (Progress::Waiting { height, applied }, _) => {
                let message = "waiting until the projector has reached the ledger's tip";
                let value = json!({ "height": height, "applied": applied });
                return self.submission.set(CheckResult::unhealthy(message).with_value(value));
            }
            (_, Some(failure)) => CheckResult::unhealthy(failure),
            (Progress::BackingOff { why, .. }, None) => CheckResult::unhealthy(format!(
                "nothing is sent for a moment, because the ledger failed: {why}"
            )),
            (Progress::Idle | Progress::Worked { .. }, None) => CheckResult::healthy(),
        };
        self.submission.set(result.with_value(json!({ "lastFailure": last })));
    }

    /// Reports a step that failed; the loop repeats it.
    pub(crate) fn failure(&self, error: &SubmitterError) {
        match error {
            SubmitterError::Halted(halt) => {
                self.submission.set(CheckResult::unhealthy(halt.to_string()));
            }
            SubmitterError::Ledger(error) => self.ledger.set(lost(error)),
            // The monitor renews the connections, and the step is repeated.
            SubmitterError::Database(error) if gx_db::is_stale_plan(error) => {}
            SubmitterError::Database(error) => {
                self.database.set(CheckResult::unhealthy(error.to_string()));
            }
        }
    }
}

/// Logs a step that failed.
pub(crate) fn log_failure(error: &SubmitterError) {
    match error {
        SubmitterError::Halted(halt) => {
            tracing::error!(error = %halt, "submission is halted; remove the cause that `error` names");
        }
        SubmitterError::Ledger(error) => error.log_unreachable(),
        SubmitterError::Database(error) => worker_loop::log_database_failure("the outbox", error),
    }
}

/// Returns the check result for a ledger that cannot be reached.
fn lost(error: &LedgerError) -> CheckResult {
    CheckResult::unhealthy(error.to_string()).with_value(error.labels())
}

/// Samples the ledger's height and counts the outbox, about once a second.
pub(crate) async fn watch(context: SubmitterContext, health: Health) {
    let mut tick = tokio::time::interval(WATCH_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count_at = Instant::now();
    loop {
        tick.tick().await;
        let heights = context.ledger.heights().await;
        let unhealthy = PeerHeight::unhealthy_peers(&heights);
        health.peers.set(match unhealthy.as_slice() {
            [] => CheckResult::healthy(),
            _ => CheckResult::unhealthy(unhealthy.join("; ")),
        });
        if heights.iter().any(|peer| peer.wrong_chain.is_some())
            && let Err(error) = reconsider(&context).await
        {
            tracing::debug!(error = %error, "the checkpoint cannot be read");
        }
        let tip = PeerHeight::tip(&heights);
        health.ledger.set(match &tip {
            Ok(_) => CheckResult::healthy(),
            Err(error) => lost(error),
        });
        let began = Instant::now();
        let counts = began >= count_at;
        if let Err(error) = sample(&context, &health, tip.ok(), counts).await {
            tracing::debug!(error = %error, "the outbox cannot be counted");
        }
        if counts {
            // A long backlog takes long to count, and its exact number matters less.
            count_at = Instant::now() + began.elapsed() * COUNT_SHARE;
        }
    }
}

/// Asks again whether peers that were set aside are right, because the submitter reads no blocks
/// that would show it.
async fn reconsider(context: &SubmitterContext) -> Result<(), sqlx::Error> {
    let mut conn = context.pool.acquire().await?;
    let known = gx_outbox::tip::checkpoint(&mut conn, &context.channel).await?;
    drop(conn);
    if let Some(known) = known {
        let number = u64::try_from(known.block_number).unwrap_or(0);
        let hash = to_hash(&known.block_hash);
        context.ledger.reconsider(BlockId { number, hash }).await;
    }
    Ok(())
}

/// Records the height, and counts the outbox if `counts`. If a statement fails, the caller tries
/// again at the next tick.
async fn sample(
    context: &SubmitterContext,
    health: &Health,
    height: Option<u64>,
    counts: bool,
) -> Result<(), sqlx::Error> {
    let mut conn = context.pool.acquire().await?;
    if let Some(height) = height.and_then(|height| i64::try_from(height).ok()) {
        tip::record(&mut conn, &context.channel, height, WRITER, context.clock.now()).await?;
    }
    if !counts {
        return Ok(());
    }
    let (stats, now) = (gx_outbox::submitter::outbox_stats(&mut conn).await?, context.clock.now());
    metrics::gauge!("gx_ledger_attempts_open").set(as_gauge(stats.open_attempts));
    metrics::gauge!("gx_ledger_attempt_oldest_open_age_seconds")
        .set(age(stats.oldest_open_attempt, now));
    metrics::gauge!("gx_outbox_oldest_waiting_age_seconds").set(age(stats.oldest_waiting, now));
    for (status, count) in stats.commands {
        metrics::gauge!("gx_outbox_commands", "status" => status.name()).set(as_gauge(count));
        if status == CommandStatus::CommittedUnverified {
            health.unverified.set(match count {
                0 => CheckResult::healthy(),
                _ => CheckResult::unhealthy(format!(
                    "{count} commands have committed without their declared result"
                ))
                .with_value(json!({ "unverified": count })),
            });
        }
        if status == CommandStatus::Dead {
            health.dead.set(match count {
                0 => CheckResult::healthy(),
                _ => CheckResult::unhealthy(format!("{count} commands were given up"))
                    .with_value(json!({ "dead": count })),
            });
        }
    }
    Ok(())
}

/// Returns the seconds since then, or 0 if there is no time.
fn age(since: Option<OffsetDateTime>, now: OffsetDateTime) -> f64 {
    since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0))
}
