//! The loop of the submitter. `gx outbox-submitter` and `gx dev` call [`run`]. A failed step is
//! reported by a check and repeated after a short pause.

use std::time::Duration;

use gx_outbox::submitter::Listener;
use gx_serve::problem::ErrorChain;
use gx_serve::worker_loop::{self, FailureLog, Pause, Tasks, Worker};
use gx_serve::{HealthBoard, Heart};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::archive::archive;
use crate::error::{Halt, SubmitterError};
use crate::health::{self, Health};
use crate::submitter::{Progress, Submitter, SubmitterContext};

/// Time after which a loop that does not turn counts as stuck. It is longer than each timeout of a
/// step.
const HEART_DEADLINE: Duration = Duration::from_secs(300);
/// How long a running step may continue after shutdown was requested.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Pause after a failed step, and before reconnecting for notifications.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Shortest wait, so that a due time in the past does not make the loop spin.
const MIN_WAIT: Duration = Duration::from_millis(5);

/// Runs the submitter until `shutdown`, through outages of ledger and database. It ends by itself
/// only if every configured peer of ours serves another chain, or if open attempts belong to
/// another chain.
///
/// # Errors
/// [`Halt`] if this database and this ledger do not belong together.
pub async fn run(
    submitter: Submitter,
    shutdown: CancellationToken,
    board: HealthBoard,
) -> Result<(), Halt> {
    let health = Health::new(&board);
    let mut tasks = Tasks::new(&board);
    let (context, watched) = (submitter.context().clone(), health.clone());
    tasks.spawn("watch", move || health::watch(context.clone(), watched.clone()));
    let (context, keep) = (submitter.context().clone(), submitter.settings.archive_after());
    tasks.spawn("archive", move || archive(context.clone(), keep));
    let heart = board.heart("submitter", HEART_DEADLINE);
    let (steps, registrations) = (FailureLog::default(), FailureLog::default());
    let mut worker =
        SubmitterLoop { submitter, health, heart, listener: None, steps, registrations };
    Box::pin(worker_loop::run(&mut worker, &shutdown)).await
}

/// The submitter with what its loop needs.
struct SubmitterLoop {
    submitter: Submitter,
    health: Health,
    heart: Heart,
    /// The connection for notifications; `None` until it is opened and after it was lost.
    listener: Option<Listener>,
    steps: FailureLog,
    /// Failures to open the connection for notifications.
    registrations: FailureLog,
}

impl Worker for SubmitterLoop {
    type Halt = Halt;
    const STOP_GRACE: Duration = STOP_GRACE;

    fn beat(&self) {
        self.heart.beat();
    }

    /// Registers for notifications before looking for work, so that no commit in between is missed.
    async fn acquire(&mut self) {
        if self.listener.is_none() {
            self.listener = register(self.submitter.context(), &mut self.registrations).await;
        }
    }

    async fn step(&mut self) -> Result<Pause, Halt> {
        match self.submitter.step().await {
            Ok(progress) => {
                // A step that waits for the end of a backoff has not tried anything.
                if !matches!(progress, Progress::BackingOff { .. }) {
                    self.steps.succeeded("the step of the submitter");
                }
                self.health.progress(&self.submitter, &progress);
                let pause = pause_after(&self.submitter, &progress).await;
                if progress == Progress::Idle {
                    self.submitter.sync_points.reach("idle").await;
                }
                Ok(pause)
            }
            Err(SubmitterError::Halted(halt)) if is_for_good(&halt) => {
                tracing::error!(
                    error = %halt,
                    "submission has ended; connect to the ledger of this database, and start again"
                );
                Err(halt)
            }
            Err(error) => {
                if self.steps.is_new(&ErrorChain(&error)) {
                    health::log_failure(&error);
                }
                self.health.failure(&error);
                Ok(Pause::UntilWoken(RETRY_PAUSE))
            }
        }
    }

    /// Waits for a notification, or for ever without a listener.
    async fn woken(&mut self) {
        let Some(listener) = &mut self.listener else { return std::future::pending().await };
        if let Err(error) = listener.heard().await {
            tracing::warn!(error = %error, "the connection for notifications is lost; reconnecting");
            self.listener = None;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Releases the lanes, so that another submitter need not wait until the lease ends.
    async fn release(&mut self) {
        if let Err(error) = self.submitter.stop().await {
            tracing::warn!(error = %error, "the lanes cannot be released; they are free when their lease ends");
        }
    }
}

/// Returns whether the process must end. What some peers show may be their fault; what all of them
/// show is not.
fn is_for_good(halt: &Halt) -> bool {
    match halt {
        Halt::Chain(wrong) => wrong.is_another_chain_everywhere(),
        Halt::ForeignAttempts { .. } => true,
    }
}

/// Opens the connection for notifications. After `None` the submitter polls, and registers again
/// before the next step.
async fn register(context: &SubmitterContext, failures: &mut FailureLog) -> Option<Listener> {
    match Listener::register(&context.pool).await {
        Ok(listener) => {
            failures.succeeded("the registration for notifications");
            Some(listener)
        }
        Err(error) => {
            if failures.is_new(&error) {
                tracing::warn!(error = %error, "notifications cannot be received; the submitter polls instead");
            }
            None
        }
    }
}

/// Returns the pause until the next due time, at most one poll interval. If commands come one by
/// one, more of them gather in the pause after a step.
async fn pause_after(submitter: &Submitter, progress: &Progress) -> Pause {
    let (now, poll) = (submitter.now(), submitter.settings.poll());
    let due = match progress {
        Progress::Worked { tried, .. } => return Pause::For(submitter.settings.gather(*tried)),
        Progress::BackingOff { until, .. } => Some(*until),
        Progress::Waiting { .. } => Some(now + RETRY_PAUSE.min(poll) / 5),
        Progress::Idle => next_due(submitter).await,
    };
    let until_due = due.map_or(poll, |at| Duration::try_from(at - now).unwrap_or_default());
    Pause::UntilWoken(until_due.clamp(MIN_WAIT, poll.max(MIN_WAIT)))
}

/// Returns when the next command or attempt is due, or `None` if there is none or the database
/// fails.
async fn next_due(submitter: &Submitter) -> Option<OffsetDateTime> {
    let mut conn = submitter.context.pool.acquire().await.ok()?;
    gx_outbox::submitter::next_due(&mut conn, submitter.now()).await.ok().flatten()
}
