//! Tells whether the current step makes progress. The projector's step and the reconciliation
//! report to it; the session keeper asks it, and gives up the lead of a step that makes none.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gx_db::PgConnection;
use gx_serve::Heart;
use tokio::time::{Instant, interval};

use super::store;

/// How often a wait with its own limit reports progress.
const BEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Reports the progress of a step. All clones share it.
#[derive(Clone, Default)]
pub(crate) struct StepProgress(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// When the current step last reported progress; `None` between steps.
    heard: Option<Instant>,
    /// Process ids of the server's sessions that work for the step.
    sessions: Vec<i32>,
    /// The heartbeat of the loop, which beats with each report.
    heart: Option<Heart>,
}

impl std::fmt::Debug for StepProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        let mut debug = f.debug_struct("StepProgress");
        debug.field("heard", &state.heard).field("sessions", &state.sessions).finish()
    }
}

/// The current step; it ends when this is dropped.
#[must_use]
pub(crate) struct RunningStep(StepProgress);

/// A session whose work counts as progress of the step until this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct WatchedSession {
    progress: StepProgress,
    pid: i32,
}

impl StepProgress {
    /// Begins a step.
    pub(crate) fn step(&self) -> RunningStep {
        self.state().heard = Some(Instant::now());
        self.beat();
        RunningStep(self.clone())
    }

    /// Reports progress of the current step.
    pub(crate) fn beat(&self) {
        let mut state = self.state();
        if let Some(heard) = &mut state.heard {
            *heard = Instant::now();
        }
        if let Some(heart) = &state.heart {
            heart.beat();
        }
    }

    /// Waits for a future that has its own limit, for example an answer of the ledger. The wait
    /// counts as progress.
    pub(crate) async fn wait<T>(&self, bounded: impl Future<Output = T>) -> T {
        let (mut bounded, mut beats) = (pin!(bounded), interval(BEAT_INTERVAL));
        loop {
            tokio::select! {
                done = &mut bounded => {
                    self.beat();
                    return done;
                }
                _ = beats.tick() => self.beat(),
            }
        }
    }

    /// Makes a heartbeat beat with each report of progress.
    pub(crate) fn beat_heart(&self, heart: Heart) {
        self.state().heart = Some(heart);
    }

    /// Counts the statements of this connection as progress of the step until the result is
    /// dropped.
    pub(crate) async fn watch(
        &self,
        conn: &mut PgConnection,
    ) -> Result<WatchedSession, sqlx::Error> {
        let pid = store::backend_pid(conn).await?;
        self.state().sessions.push(pid);
        Ok(WatchedSession { progress: self.clone(), pid })
    }

    /// Returns the time since the current step last reported progress, or `None` between steps.
    pub(super) fn silent_for(&self) -> Option<Duration> {
        self.state().heard.map(|heard| heard.elapsed())
    }

    /// Returns the process ids of the watched sessions.
    pub(super) fn sessions(&self) -> Vec<i32> {
        self.state().sessions.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningStep {
    fn drop(&mut self) {
        self.0.state().heard = None;
    }
}

impl Drop for WatchedSession {
    fn drop(&mut self) {
        let mut state = self.progress.state();
        if let Some(at) = state.sessions.iter().position(|pid| *pid == self.pid) {
            state.sessions.swap_remove(at);
        }
    }
}
