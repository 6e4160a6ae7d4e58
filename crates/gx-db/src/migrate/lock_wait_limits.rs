//! Waits for locks in short attempts (DB-10). [`super::runner`] begins [`Attempts`] for each piece
//! of work, and gives up when their time is over.
//!
//! A statement that waits for a strong lock waits in a queue, and all later statements on the table
//! wait behind it. So a migration times out soon, lets the others pass, and tries again later.

use std::time::Duration;

use clap::Args;
use rand::RngExt as _;
use sqlx::PgConnection;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::lock_waits::{self, Blocker};

/// Approximate pause after the first attempt; each pause is twice the one before it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Number of checks for blocking sessions during one wait.
const CHECKS_PER_WAIT: u32 = 8;

/// How migrations wait for locks.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationSettings {
    /// Milliseconds that a migration waits for one lock before it lets the others pass and tries
    /// again, 10 to 60000. While it waits, all sessions that need the table wait behind it.
    #[arg(long, env = "DATABASE_MIGRATION_LOCK_TIMEOUT_MS", default_value_t = 2_000,
          value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub database_migration_lock_timeout_ms: u64,
    /// Milliseconds for which a migration, or one of its steps, is tried again while others hold
    /// its locks, 0 to 86400000. Also how long one runner waits for another.
    #[arg(long, env = "DATABASE_MIGRATION_PATIENCE_MS", default_value_t = 600_000,
          value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    pub database_migration_patience_ms: u64,
}

impl Default for MigrationSettings {
    fn default() -> Self {
        Self { database_migration_lock_timeout_ms: 2_000, database_migration_patience_ms: 600_000 }
    }
}

/// Limits and reports of the waits of a run.
#[derive(Debug, Default)]
pub(crate) struct LockWaitLimits {
    settings: MigrationSettings,
    /// A second connection, which sees the sessions that block the first one.
    watcher: Option<PgConnection>,
    /// Receives messages about waits, for the operator.
    say: Option<fn(&str)>,
    /// Number of attempts that did not get their locks.
    pub(super) passed: u32,
}

/// Attempts at one piece of work.
#[derive(Debug)]
pub(super) struct Attempts {
    began: Instant,
    until: Instant,
    failed: u32,
}

impl LockWaitLimits {
    pub(crate) fn new(settings: MigrationSettings, watcher: Option<PgConnection>) -> Self {
        Self { settings, watcher, say: None, passed: 0 }
    }

    /// Returns these limits with a receiver of messages.
    pub(crate) fn saying(self, say: fn(&str)) -> Self {
        Self { say: Some(say), ..self }
    }

    pub(super) fn say(&self, line: &str) {
        if let Some(say) = self.say {
            say(line);
        }
    }

    /// Returns how long one statement may wait for a lock.
    pub(super) fn lock_timeout_ms(&self) -> u64 {
        self.settings.database_migration_lock_timeout_ms
    }

    /// Returns how long a statement that blocks no other session may wait for a lock.
    pub(super) fn max_wait_ms(&self) -> u64 {
        self.settings.database_migration_patience_ms.max(self.lock_timeout_ms())
    }

    pub(super) fn begin(&self) -> Attempts {
        let began = Instant::now();
        let time_limit = Duration::from_millis(self.settings.database_migration_patience_ms);
        Attempts { began, until: began + time_limit, failed: 0 }
    }

    /// Does the work and returns its result with the sessions that blocked it, as the last check
    /// saw them.
    pub(super) async fn watched<T>(
        &mut self,
        pid: i32,
        work: impl Future<Output = T>,
    ) -> (T, Vec<Blocker>) {
        let Some(watcher) = &mut self.watcher else { return (work.await, Vec::new()) };
        let every = Duration::from_millis(self.settings.database_migration_lock_timeout_ms);
        let mut looks = interval((every / CHECKS_PER_WAIT).max(Duration::from_millis(1)));
        let (mut work, mut seen) = (std::pin::pin!(work), Vec::new());
        loop {
            tokio::select! {
                done = &mut work => return (done, seen),
                _ = looks.tick() => {
                    // The work continues even if no session is found.
                    match timeout(every, lock_waits::blockers_of(watcher, pid)).await {
                        Ok(Ok(found)) if !found.is_empty() => seen = found,
                        _ => {}
                    }
                }
            }
        }
    }

    /// Waits before the next attempt. Returns the total time as an error if the time limit has
    /// passed.
    pub(super) async fn rest(&mut self, attempts: &mut Attempts) -> Result<(), Duration> {
        self.passed += 1;
        let pause = attempts.pause();
        if Instant::now() + pause > attempts.until {
            return Err(attempts.began.elapsed());
        }
        sleep(pause).await;
        Ok(())
    }
}

impl Attempts {
    /// Returns a pause that doubles each time, partly random so that two runners do not collide
    /// again.
    fn pause(&mut self) -> Duration {
        let longest = FIRST_PAUSE.saturating_mul(1 << self.failed.min(16)).min(MAX_PAUSE);
        self.failed += 1;
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}
