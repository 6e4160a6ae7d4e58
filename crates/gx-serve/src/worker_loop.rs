//! The loop of a worker: it acquires resources, takes steps, and releases the resources. The
//! submitter's and the projector's `run` call it.

use std::collections::VecDeque;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::health::{CheckHandle, CheckResult, HealthBoard};

/// Pause before a task that panicked is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Number of texts that a [`FailureLog`] remembers.
const MAX_REMEMBERED: usize = 16;

/// Work that is repeated in steps until the process stops.
pub trait Worker: Send {
    /// Why the work cannot go on.
    type Halt: Send;
    /// How long a running step may continue after shutdown was requested.
    const STOP_GRACE: Duration = Duration::ZERO;

    /// Reports that the loop is alive.
    fn beat(&self);

    /// Acquires the resources that the next step needs and the worker does not have.
    fn acquire(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Takes a step, reports its result and returns the pause before the next step.
    fn step(&mut self) -> impl Future<Output = Result<Pause, Self::Halt>> + Send;

    /// Waits until there may be work.
    fn woken(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Releases the resources of the worker, so that another process can go on.
    fn release(&mut self) -> impl Future<Output = ()> + Send;
}

/// The pause between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Wait for this time.
    For(Duration),
    /// Wait until there may be work, at most for this time.
    UntilWoken(Duration),
}

/// Repeats the steps of a worker until `shutdown`, then releases its resources.
///
/// # Errors
/// [`Worker::Halt`] if the work cannot go on. The resources are released before it is returned; the
/// caller decides what the process does then.
pub async fn run<W: Worker>(worker: &mut W, shutdown: &CancellationToken) -> Result<(), W::Halt> {
    let ended = repeat(worker, shutdown).await;
    worker.release().await;
    ended
}

async fn repeat<W: Worker>(worker: &mut W, shutdown: &CancellationToken) -> Result<(), W::Halt> {
    while !shutdown.is_cancelled() {
        worker.beat();
        if shutdown.run_until_cancelled(worker.acquire()).await.is_none() {
            break;
        }
        let pause = tokio::select! {
            step = Box::pin(worker.step()) => step?,
            () = grace_after(shutdown, W::STOP_GRACE) => break,
        };
        shutdown.run_until_cancelled(rest(worker, pause)).await;
    }
    Ok(())
}

async fn rest(worker: &mut impl Worker, pause: Pause) {
    match pause {
        Pause::For(Duration::ZERO) => {}
        Pause::For(time) => sleep(time).await,
        Pause::UntilWoken(limit) => {
            let _ = timeout(limit, worker.woken()).await;
        }
    }
}

async fn grace_after(shutdown: &CancellationToken, grace: Duration) {
    shutdown.cancelled().await;
    sleep(grace).await;
}

/// Decides which failures of repeated work are logged: each text once until the work succeeds, and
/// then the success. That a failure lasts is shown by the health checks.
#[derive(Debug, Default)]
pub struct FailureLog {
    /// Number of failures since the last success.
    failures: u64,
    /// The last different texts of these failures.
    logged: VecDeque<String>,
}

impl FailureLog {
    /// Records a failure and returns whether it must be logged: no failure since the last success
    /// had this text. The text must have the causes, so that another cause is logged, too.
    pub fn is_new(&mut self, failure: &dyn Display) -> bool {
        self.failures = self.failures.saturating_add(1);
        let text = failure.to_string();
        if self.logged.contains(&text) {
            return false;
        }
        if self.logged.len() == MAX_REMEMBERED {
            self.logged.pop_front();
        }
        self.logged.push_back(text);
        true
    }

    /// Returns whether the work has failed since its last success.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Records a success, and logs it if the work had failed before. `work` is its name in the
    /// line.
    pub fn succeeded(&mut self, work: &str) {
        if self.is_failing() {
            let failures = self.failures;
            tracing::info!(failures, "{work} succeeds again after {failures} failures");
            *self = Self::default();
        }
    }
}

/// Work beside the loop that never ends by itself, such as health checks. A task that panics is
/// started again, and the check `backgroundTasks` names it until the process ends. Dropping this
/// aborts all tasks.
pub struct Tasks {
    tasks: JoinSet<()>,
    check: CheckHandle,
}

impl Tasks {
    /// Creates an empty set that reports to the board.
    pub fn new(board: &HealthBoard) -> Self {
        let check = board.check("backgroundTasks", false);
        check.healthy();
        Self { tasks: JoinSet::new(), check }
    }

    /// Starts a task. `start` is called again after a panic.
    pub fn spawn<T>(&mut self, name: &'static str, start: impl Fn() -> T + Send + 'static)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let check = self.check.clone();
        self.tasks.spawn(async move {
            while AssertUnwindSafe(start()).catch_unwind().await.is_err() {
                tracing::error!(
                    task = name,
                    "the background task `{name}` panicked and is started again; report the panic \
                     in the log"
                );
                let message = format!("the background task `{name}` panicked; see the log");
                check.set(CheckResult::unhealthy(message));
                sleep(RESTART_PAUSE).await;
            }
        });
    }
}

/// Logs that a step could not read or write its rows, such as `the outbox`, and is repeated.
pub fn log_database_failure(rows: &str, error: &sqlx::Error) {
    if gx_db::is_lock_timeout(error) {
        tracing::warn!(error = %error, "a database lock timed out; the step is repeated");
    } else if gx_db::is_stale_plan(error) {
        tracing::warn!(error = %error,
            "a statement was planned before a migration; the step is repeated");
    } else {
        tracing::warn!(error = %error, "{rows} cannot be read or written");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const AN_HOUR: Duration = Duration::from_hours(1);

    /// A worker that writes down what the loop does with it. In its second step it is told to stop,
    /// or halts.
    #[derive(Default)]
    struct Diary {
        lines: Vec<&'static str>,
        steps: u32,
        halts: bool,
        notified: Notify,
        shutdown: CancellationToken,
    }

    impl Worker for Diary {
        type Halt = &'static str;

        fn beat(&self) {}

        async fn acquire(&mut self) {
            self.lines.push("acquire");
        }

        async fn step(&mut self) -> Result<Pause, Self::Halt> {
            self.lines.push("step");
            self.steps += 1;
            match (self.steps, self.halts) {
                // What this step no longer sees is committed, and announced, before the step ends.
                (1, _) => self.notified.notify_one(),
                (_, true) => return Err("halted"),
                (_, false) => self.shutdown.cancel(),
            }
            Ok(Pause::UntilWoken(AN_HOUR))
        }

        async fn woken(&mut self) {
            self.notified.notified().await;
        }

        async fn release(&mut self) {
            self.lines.push("release");
        }
    }

    async fn run_diary(mut diary: Diary) -> (Result<(), &'static str>, Vec<&'static str>) {
        let shutdown = diary.shutdown.clone();
        let ended = run(&mut diary, &shutdown).await;
        (ended, diary.lines)
    }

    #[tokio::test]
    async fn a_wake_up_during_a_step_is_not_lost() {
        let (ended, lines) = run_diary(Diary::default()).await;
        assert_eq!(ended, Ok(()));
        assert_eq!(lines, ["acquire", "step", "acquire", "step", "release"]);
    }

    #[tokio::test]
    async fn a_worker_that_halts_releases_what_it_has() {
        let (ended, lines) = run_diary(Diary { halts: true, ..Diary::default() }).await;
        assert_eq!(ended, Err("halted"));
        assert_eq!(lines.last(), Some(&"release"));
    }

    /// While work fails in the same ways again and again, each way is logged once; after a success
    /// it is logged again.
    #[test]
    fn each_failure_is_logged_once_until_a_success() {
        let mut log = FailureLog::default();
        let mut logged = |text: &str| log.is_new(&text);
        assert_eq!(
            ["lost", "lost", "slow", "lost", "slow"].map(&mut logged),
            [true, false, true, false, false]
        );
        assert!(log.is_failing());
        log.succeeded("the step");
        assert!(!log.is_failing());
        assert!(log.is_new(&"lost"));
    }

    /// A text that never repeats, such as one with a new number each time, fills no memory.
    #[test]
    fn the_oldest_text_is_forgotten_first() {
        let mut log = FailureLog::default();
        for number in 0..=MAX_REMEMBERED {
            assert!(log.is_new(&number));
        }
        assert_eq!(log.logged.len(), MAX_REMEMBERED);
        assert!(!log.is_new(&1));
        assert!(log.is_new(&0), "the oldest one is forgotten");
    }

    /// A task that panics is started again, and the health report names it.
    #[tokio::test]
    async fn a_task_that_panics_is_started_again_and_named() {
        let board = HealthBoard::new("tester", gx_model::Clock::system());
        let mut tasks = Tasks::new(&board);
        let (starts, again) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let restarted = Arc::clone(&again);
        tasks.spawn("counter", move || {
            let (starts, again) = (Arc::clone(&starts), Arc::clone(&again));
            async move {
                assert!(starts.fetch_add(1, Ordering::SeqCst) > 0, "the first start panics");
                again.notify_one();
                std::future::pending::<()>().await;
            }
        });
        restarted.notified().await;
        let report = serde_json::to_value(board.report().await).unwrap();
        let check = &report["checks"]["backgroundTasks"];
        assert_eq!(check["status"], "unhealthy");
        assert!(check["message"].as_str().unwrap().contains("`counter` panicked"), "{check}");
    }
}
