//! Stores tasks that ask the projector to verify or rebuild the read model, and cancels tasks.
//! Called by the routes of svc-admin and by `gx projection task cancel`. Only the projector writes
//! the read model, and services cannot reach the ledger.

pub(crate) mod http;
#[cfg(test)]
mod tests;

use gx_auth::audit;
use gx_db::{Named, PgConnection};
use gx_model::TaskState;
use gx_outbox::tasks::{self, Task, TaskRow};
use serde_json::json;
use sqlx::Connection;
use time::OffsetDateTime;

use crate::commands::AuditedDecision;

/// The reason that a task was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// The task does not exist.
    #[error("there is no task {0}; take an id from `gx projection task list`")]
    Unknown(String),
    /// The task has ended.
    #[error("task {task_id} is already {state}; nothing is left to cancel")]
    Ended {
        /// Id of the task.
        task_id: String,
        /// The state in which the task ended.
        state: Named<TaskState>,
    },
    /// The database failed.
    #[error("the task cannot be read or cancelled; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Cancels a task that waits or runs, and writes the audit row in the same transaction. Changes
/// that the task has already made stay.
///
/// # Errors
/// [`CancelError`] says why; nothing is changed then.
pub async fn cancel_task(
    conn: &mut PgConnection,
    task_id: &str,
    decision: &AuditedDecision<'_>,
    now: OffsetDateTime,
) -> Result<TaskRow, CancelError> {
    let mut tx = conn.begin().await?;
    let unknown = || CancelError::Unknown(task_id.to_owned());
    let was_waiting = tasks::cancel(&mut tx, task_id, decision.by(), now).await?;
    let row = tasks::get(&mut tx, task_id).await?.ok_or_else(unknown)?;
    if !was_waiting {
        return Err(CancelError::Ended { task_id: row.task_id, state: row.state });
    }
    let (action, after) = ("projection.task_cancelled", json!({ "kind": row.kind }));
    let entry = decision.entry(action, "ProjectorTask", Some(task_id), after);
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(row)
}

/// Stores a task for the projector, and writes the audit row in the same transaction.
async fn ask(
    conn: &mut PgConnection,
    channel: &str,
    (action, task): (&str, Task),
    task_id: &str,
    decision: &AuditedDecision<'_>,
    now: OffsetDateTime,
) -> Result<TaskRow, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let row = TaskRow::new(task_id, channel, task, decision.by(), now);
    tasks::ask(&mut tx, &row).await?;
    let after = json!({ "taskId": task_id, "arguments": row.arguments });
    let entry = decision.entry(action, "Projection", Some(channel), after);
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(row)
}
