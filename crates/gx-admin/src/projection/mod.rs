//! Asking the projector to compare the read model with the ledger, or to make it anew. It is
//! the only writer of the read model, and the services cannot reach the ledger.

pub(crate) mod http;
#[cfg(test)]
mod tests;

use gx_auth::audit;
use gx_db::PgConnection;
use gx_outbox::tasks::{self, Task, TaskRow};
use serde_json::json;
use sqlx::Connection;
use time::OffsetDateTime;

use crate::commands::Decision;

/// Leaves the projector a task, and the audit log a row, in one transaction.
async fn ask(
    conn: &mut PgConnection,
    channel: &str,
    (action, task): (&str, Task),
    task_id: &str,
    decision: &Decision<'_>,
    now: OffsetDateTime,
) -> Result<TaskRow, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let row = TaskRow::new(task_id, channel, task, decision.by(), now);
    tasks::ask(&mut tx, &row).await?;
    let entry = audit::Entry {
        actor: decision.actor,
        action,
        target_type: "Projection",
        target_id: Some(channel),
        before: None,
        after: Some(json!({
            "taskId": task_id, "arguments": row.arguments, "reason": decision.reason,
        })),
        request_id: decision.request_id,
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(row)
}
