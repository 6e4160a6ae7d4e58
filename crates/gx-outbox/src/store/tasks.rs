//! SQL of `ProjectorTask`.

use gx_db::PgConnection;
use serde_json::Value;
use sqlx::{query, query_as};
use time::OffsetDateTime;

use crate::tasks::TaskRow;

/// Adds a task.
pub(crate) async fn insert(conn: &mut PgConnection, task: &TaskRow) -> Result<(), sqlx::Error> {
    query!(
        r#"INSERT INTO "ProjectorTask" ("taskId", channel, kind, arguments, "requestedBy",
                                        "requestedAt")
           VALUES ($1, $2, $3, $4, $5, $6)"#,
        task.task_id,
        task.channel,
        task.kind,
        task.arguments,
        task.requested_by,
        task.requested_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One task.
pub(crate) async fn get(
    conn: &mut PgConnection,
    task_id: &str,
) -> Result<Option<TaskRow>, sqlx::Error> {
    query_as!(
        TaskRow,
        r#"SELECT "taskId" AS task_id, channel, kind, arguments, "requestedBy" AS requested_by,
                  "requestedAt" AS requested_at, state, report, "finishedAt" AS finished_at
           FROM "ProjectorTask" WHERE "taskId" = $1"#,
        task_id,
    )
    .fetch_optional(conn)
    .await
}

/// Locks the oldest waiting task of a channel that nobody else is at, of these kinds.
pub(crate) async fn take(
    conn: &mut PgConnection,
    channel: &str,
    kinds: &[String],
) -> Result<Option<TaskRow>, sqlx::Error> {
    query_as!(
        TaskRow,
        r#"SELECT "taskId" AS task_id, channel, kind, arguments, "requestedBy" AS requested_by,
                  "requestedAt" AS requested_at, state, report, "finishedAt" AS finished_at
           FROM "ProjectorTask" WHERE channel = $1 AND state = 'WAITING' AND kind = ANY($2)
           ORDER BY "requestedAt" LIMIT 1
           FOR UPDATE SKIP LOCKED"#,
        channel,
        kinds,
    )
    .fetch_optional(conn)
    .await
}

/// Ends a task with what came of it.
pub(crate) async fn finish(
    conn: &mut PgConnection,
    task_id: &str,
    report: &Value,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "ProjectorTask" SET state = 'DONE', report = $2, "finishedAt" = $3
           WHERE "taskId" = $1 AND state = 'WAITING'"#,
        task_id,
        report,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
