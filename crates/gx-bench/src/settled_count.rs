//! Counts the commands that are settled. The rows with both workers wait with it and compute their
//! rates from its count.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

use crate::error::BenchError;
use crate::progress::ProgressCounter;
use crate::store::commands;

/// Interval at which progress is checked.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Time without progress after which a row fails.
const STUCK_AFTER: Duration = Duration::from_secs(40);

/// Counts commands that have taken effect and are visible. Each has one event.
pub(crate) struct SettledCount {
    block: i64,
    pub(crate) count: u64,
    goal: u64,
}

impl SettledCount {
    /// Starts to count; earlier commands do not count.
    pub(crate) async fn now(conn: &mut PgConnection) -> Result<Self, BenchError> {
        let (block, _) = commands::events_after(conn, 0).await?;
        Ok(Self { block, count: 0, goal: 0 })
    }

    /// Waits until `more` commands are settled in addition to the goal of the last wait, or until
    /// `at_most` has passed, which lowers the goal to what is settled. Fails with
    /// [`BenchError::Stuck`] after a time without progress.
    pub(crate) async fn wait(
        &mut self,
        conn: &mut PgConnection,
        more: u64,
        at_most: Duration,
    ) -> Result<(), BenchError> {
        let (start, first) = (Instant::now(), self.count);
        self.goal += more;
        let (mut moved, mut progress) = (start, ProgressCounter::new("commands settled", more));
        while self.count < self.goal && start.elapsed() < at_most {
            let (block, count) = commands::events_after(conn, self.block).await?;
            if count > 0 {
                moved = Instant::now();
            }
            (self.block, self.count) = (block, self.count + count.unsigned_abs());
            progress.show(self.count - first);
            if moved.elapsed() > STUCK_AFTER {
                let seconds = STUCK_AFTER.as_secs();
                return Err(BenchError::Stuck { what: "the workers", seconds });
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        self.goal = self.goal.min(self.count.max(first));
        Ok(())
    }
}
