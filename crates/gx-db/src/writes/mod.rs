//! Tests whether the server can store anything (RDY-09). The monitor of the pool calls
//! [`WriteWatch::check`] after each successful check of the instance; the health check
//! `databaseWrites` reads the result.
//!
//! On a full disk, statements that need a new page fail and others succeed, so that a single small
//! write proves nothing. The test makes the server write a temporary file in the tablespace of the
//! database: it needs no privilege, leaves nothing behind, and adds nothing to the write-ahead log.
//! A service's statement that failed because nothing could be stored counts at once.

mod store;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use crate::failure::DatabaseFailure;

/// Interval of tests while writes succeed.
const TEST_INTERVAL: Duration = Duration::from_secs(5);
/// How long a failed statement counts even if tests succeed, because the statement may need more
/// space or another tablespace.
const MEMORY_TIME: Duration = Duration::from_secs(5);

/// Failure of writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingWrites {
    /// The reason in the server's words.
    pub reason: String,
    /// Time since the first failure.
    pub since: Duration,
}

/// The last known result of writes.
#[derive(Debug, Default)]
pub(crate) struct WriteWatch(Mutex<WriteState>);

#[derive(Debug, Default)]
struct WriteState {
    failing: Option<Failing>,
    probed: Option<Instant>,
}

#[derive(Debug)]
struct Failing {
    reason: String,
    since: Instant,
    /// When a statement failed, in contrast to a test.
    statement: Option<Instant>,
}

impl WriteWatch {
    /// Records that a statement failed because nothing could be stored.
    pub(crate) fn failed(&self, reason: &str) {
        self.note(reason, Some(Instant::now()));
    }

    /// Returns the failure, or `None` while writes succeed.
    pub(crate) fn failing(&self) -> Option<FailingWrites> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = state.failing.as_ref()?;
        Some(FailingWrites { reason: failing.reason.clone(), since: failing.since.elapsed() })
    }

    /// Makes the server write if a test is due: at every check while writes fail, and at intervals
    /// otherwise. A test that could store nothing is recorded and is no error.
    ///
    /// # Errors
    /// `sqlx::Error` if the test failed for another reason; the last result stays.
    pub(crate) async fn check(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        if !self.is_due() {
            return Ok(());
        }
        match store::write_temporary_file(conn).await {
            Ok(()) => self.succeeded(),
            Err(error) => match DatabaseFailure::of(&error) {
                Some(DatabaseFailure::NotStored(reason)) => self.note(&reason, None),
                _ => return Err(error),
            },
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = state.probed.is_some_and(|probed| probed.elapsed() < TEST_INTERVAL);
        if recent && state.failing.is_none() {
            return false;
        }
        state.probed = Some(Instant::now());
        true
    }

    fn note(&self, reason: &str, statement: Option<Instant>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut state.failing {
            Some(failing) => {
                reason.clone_into(&mut failing.reason);
                failing.statement = statement.or(failing.statement);
            }
            None => {
                tracing::error!(
                    error = reason,
                    "the database cannot store anything; check its disk and its log"
                );
                let since = Instant::now();
                state.failing = Some(Failing { reason: reason.to_owned(), since, statement });
            }
        }
        metrics::gauge!("gx_db_writes_fail").set(1.0);
    }

    fn succeeded(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent =
            |failing: &Failing| failing.statement.is_some_and(|at| at.elapsed() < MEMORY_TIME);
        if state.failing.as_ref().is_some_and(recent) {
            return;
        }
        if state.failing.take().is_some() {
            tracing::info!("the database can store data again");
        }
        metrics::gauge!("gx_db_writes_fail").set(0.0);
    }
}
