//! SQL of `ProjectorTask`, for the parent module.

use gx_db::{Named, PgConnection};
use gx_model::TaskState;
use serde_json::Value;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

use super::TaskRow;

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

/// Returns the task with this id.
pub(crate) async fn get(
    conn: &mut PgConnection,
    task_id: &str,
) -> Result<Option<TaskRow>, sqlx::Error> {
    query_as!(
        TaskRow,
        r#"SELECT "taskId" AS task_id, channel, kind, arguments, "requestedBy" AS requested_by,
                  "requestedAt" AS requested_at, state AS "state: Named<TaskState>", attempts,
                  progress, report, "finishedAt" AS finished_at
           FROM "ProjectorTask" WHERE "taskId" = $1"#,
        task_id,
    )
    .fetch_optional(conn)
    .await
}

/// Returns the tasks of a channel, newest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    channel: &str,
    limit: i64,
) -> Result<Vec<TaskRow>, sqlx::Error> {
    query_as!(
        TaskRow,
        r#"SELECT "taskId" AS task_id, channel, kind, arguments, "requestedBy" AS requested_by,
                  "requestedAt" AS requested_at, state AS "state: Named<TaskState>", attempts,
                  progress, report, "finishedAt" AS finished_at
           FROM "ProjectorTask" WHERE channel = $1
           ORDER BY "requestedAt" DESC, "taskId" DESC LIMIT $2"#,
        channel,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Counts an attempt of the oldest waiting task of these kinds that no other session has locked,
/// and returns the task.
pub(crate) async fn count_attempt(
    conn: &mut PgConnection,
    channel: &str,
    kinds: &[String],
) -> Result<Option<TaskRow>, sqlx::Error> {
    query_as!(
        TaskRow,
        r#"UPDATE "ProjectorTask" SET attempts = attempts + 1
           WHERE "taskId" = (
               SELECT "taskId" FROM "ProjectorTask"
               WHERE channel = $1 AND state = 'WAITING' AND kind = ANY($2)
               ORDER BY "requestedAt", "taskId" LIMIT 1 FOR UPDATE SKIP LOCKED)
             AND state = 'WAITING'
           RETURNING "taskId" AS task_id, channel, kind, arguments,
                     "requestedBy" AS requested_by, "requestedAt" AS requested_at,
                     state AS "state: Named<TaskState>", attempts, progress, report,
                     "finishedAt" AS finished_at"#,
        channel,
        kinds,
    )
    .fetch_optional(conn)
    .await
}

/// Does not count the current attempt of a task.
pub(crate) async fn uncount_attempt(
    conn: &mut PgConnection,
    task_id: &str,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "ProjectorTask" SET attempts = greatest(attempts - 1, 0)
           WHERE "taskId" = $1 AND state = 'WAITING'"#,
        task_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks a task. Returns `false` if it is no longer WAITING.
pub(crate) async fn lock(conn: &mut PgConnection, task_id: &str) -> Result<bool, sqlx::Error> {
    let row = query!(
        r#"SELECT "taskId" FROM "ProjectorTask" WHERE "taskId" = $1 AND state = 'WAITING'
           FOR UPDATE"#,
        task_id,
    );
    Ok(row.fetch_optional(conn).await?.is_some())
}

/// Stores the progress of a task and sets its attempts to 0.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    task_id: &str,
    progress: &Value,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "ProjectorTask" SET attempts = 0, progress = $2
           WHERE "taskId" = $1 AND state = 'WAITING'"#,
        task_id,
        progress,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a waiting task. Returns `false` if there is no such task.
pub(crate) async fn end(
    conn: &mut PgConnection,
    task_id: &str,
    state: TaskState,
    report: &Value,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        r#"UPDATE "ProjectorTask" SET state = $2, report = $3, "finishedAt" = $4
           WHERE "taskId" = $1 AND state = 'WAITING'"#,
        task_id,
        state.name(),
        report,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Locks the oldest waiting tasks of these kinds that no other session has locked, and returns
/// their ids.
pub(crate) async fn lock_many(
    conn: &mut PgConnection,
    channel: &str,
    kinds: &[String],
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "taskId" FROM "ProjectorTask"
           WHERE channel = $1 AND state = 'WAITING' AND kind = ANY($2)
           ORDER BY "requestedAt", "taskId" LIMIT $3
           FOR UPDATE SKIP LOCKED"#,
        channel,
        kinds,
        limit,
    )
    .fetch_all(conn)
    .await
}
