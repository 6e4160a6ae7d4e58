//! Waits for the end of a projector task. Used by `gx projection adopt` and `dead replay`.

use std::time::Duration;

use gx_db::Database;
use gx_outbox::tasks::{self, TaskRow};

use crate::CliError;

/// Pause between two looks at the task.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Waits until the task has ended, and returns it.
///
/// # Errors
/// Fails if the task has not ended within `wait_s` seconds; the task stays stored.
pub(super) async fn wait(
    database: &Database,
    task_id: &str,
    wait_s: u64,
) -> Result<TaskRow, CliError> {
    let bound = Duration::from_secs(wait_s);
    tokio::time::timeout(bound, wait_without_limit(database, task_id)).await.unwrap_or_else(|_| {
        Err(CliError::message(format!(
            "task {task_id} has not ended after {wait_s} s; check that a projector runs, and look at \
            the task with `gx projection task list`"
        )))
    })
}

/// Looks at the task until it has ended.
async fn wait_without_limit(database: &Database, task_id: &str) -> Result<TaskRow, CliError> {
    let mut tick = tokio::time::interval(POLL_INTERVAL);
    loop {
        tick.tick().await;
        let mut conn = database.connection().await?;
        let task = tasks::get(&mut conn, task_id).await?;
        if let Some(done) = task.filter(TaskRow::is_ended) {
            return Ok(done);
        }
    }
}
