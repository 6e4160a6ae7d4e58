//! Tasks that operators and administrators give to the projector. Only the projector writes the
//! read model, so a service or a command stores a row in its own transaction; the projector carries
//! the task out and writes its report into the row.

mod store;

use gx_db::{Named, PgConnection};
use gx_model::{FabricUserId, TaskState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::failure::storable_json;

/// A task for the projector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "arguments", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Task {
    /// Apply dead letters again, in the order of the chain.
    ReplayDeadEvents {
        /// Id of the dead letter; all of them if `None`.
        dead_event_id: Option<i64>,
    },
    /// Compare the read model with the chain.
    VerifyProjection {},
    /// Make the read model again from block 0, in copies next to the live tables.
    RebuildProjection {
        /// Whether to correct the differences in the live tables.
        switch: bool,
    },
    /// Give a person of the ledger to the account that has reserved the person's id.
    AdoptPerson {
        /// The person's id.
        fabric_user_id: FabricUserId,
    },
}

/// Kinds that the projector carries out between two blocks, one part at a time.
pub const BETWEEN_BLOCKS: [&str; 1] = ["REPLAY_DEAD_EVENTS"];
/// The kind that the projector carries out between two blocks, many tasks at once.
pub const ADOPTIONS: [&str; 1] = ["ADOPT_PERSON"];
/// Kinds that take long and are carried out while the projector applies blocks.
pub const BESIDE_BLOCKS: [&str; 2] = ["VERIFY_PROJECTION", "REBUILD_PROJECTION"];

/// Number of times that a task may stop its projector before the task fails.
pub const MAX_ATTEMPTS: i32 = 3;

/// A task as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRow {
    /// The task id, chosen by the caller.
    pub task_id: String,
    /// The channel of the read model.
    pub channel: String,
    /// Name of the kind.
    pub kind: String,
    /// Arguments of the kind.
    pub arguments: Value,
    /// The administrator or operator who requested it.
    pub requested_by: String,
    /// When it was requested.
    #[serde(with = "time::serde::rfc3339")]
    pub requested_at: OffsetDateTime,
    /// The state of the task.
    pub state: Named<TaskState>,
    /// Number of times that a projector has begun the current part without ending it.
    pub attempts: i32,
    /// Progress, if the task is carried out in parts.
    pub progress: Option<Value>,
    /// Report, once the task is no longer WAITING.
    pub report: Option<Value>,
    /// When the task ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
}

impl TaskRow {
    /// Creates a waiting task.
    pub fn new(
        task_id: &str,
        channel: &str,
        task: Task,
        requested_by: &str,
        now: OffsetDateTime,
    ) -> Self {
        let mut tagged = serde_json::to_value(task).expect("a task has only text keys");
        let Value::String(kind) = tagged["kind"].take() else { unreachable!("a tag is a text") };
        Self {
            task_id: task_id.to_owned(),
            channel: channel.to_owned(),
            kind,
            arguments: tagged["arguments"].take(),
            requested_by: requested_by.to_owned(),
            requested_at: now,
            state: Named::Known(TaskState::Waiting),
            attempts: 0,
            progress: None,
            report: None,
            finished_at: None,
        }
    }

    /// Returns the task with its arguments.
    ///
    /// # Errors
    /// `serde_json::Error` if this release does not know the kind or an argument.
    pub fn task(&self) -> Result<Task, serde_json::Error> {
        serde_json::from_value(json!({ "kind": self.kind, "arguments": self.arguments }))
    }

    /// Returns whether the task is no longer waiting or in progress.
    pub fn is_ended(&self) -> bool {
        self.state != TaskState::Waiting
    }
}

/// Stores a task in the caller's transaction.
///
/// # Errors
/// `sqlx::Error` if a statement fails, also if a task has this id already.
pub async fn ask(conn: &mut PgConnection, task: &TaskRow) -> Result<(), sqlx::Error> {
    store::insert(conn, task).await
}

/// Returns the task with this id, or `None` if there is none.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn get(conn: &mut PgConnection, task_id: &str) -> Result<Option<TaskRow>, sqlx::Error> {
    store::get(conn, task_id).await
}

/// Returns the tasks of a channel, newest first.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn list(
    conn: &mut PgConnection,
    channel: &str,
    limit: i64,
) -> Result<Vec<TaskRow>, sqlx::Error> {
    store::list(conn, channel, limit).await
}

/// Begins the oldest waiting task of these kinds and returns it, or `None` if no task waits.
///
/// The attempt is counted and committed before the task is carried out, so that a task that stops
/// its projector is recognised. A task that did so [`MAX_ATTEMPTS`] times ends as FAILED, and the
/// next one is begun.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn begin(
    conn: &mut PgConnection,
    channel: &str,
    kinds: &[&str],
    now: OffsetDateTime,
) -> Result<Option<TaskRow>, sqlx::Error> {
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    while let Some(task) = store::count_attempt(conn, channel, &kinds).await? {
        if task.attempts <= MAX_ATTEMPTS {
            return Ok(Some(task));
        }
        let error = format!("its projector stopped {MAX_ATTEMPTS} times while it was carried out");
        tracing::error!(
            task_id = task.task_id,
            kind = task.kind,
            error,
            "task {} has failed; find the cause in the projector's log, and ask for the task \
             again",
            task.task_id
        );
        let report = json!({ "error": error, "progress": task.progress });
        store::end(conn, &task.task_id, TaskState::Failed, &report, now).await?;
    }
    Ok(None)
}

/// Does not count the current attempt, because the projector is still running and begins the task
/// again.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn uncount_attempt(conn: &mut PgConnection, task_id: &str) -> Result<(), sqlx::Error> {
    store::uncount_attempt(conn, task_id).await
}

/// Locks a task in the caller's transaction, which carries out one part of it. Returns `false` if
/// the task has ended.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn lock(conn: &mut PgConnection, task_id: &str) -> Result<bool, sqlx::Error> {
    store::lock(conn, task_id).await
}

/// Stores the progress of a task in the transaction of that part, and sets its attempts to 0.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn advance(
    conn: &mut PgConnection,
    task_id: &str,
    progress: Value,
) -> Result<(), sqlx::Error> {
    store::advance(conn, task_id, &storable_json(progress)).await
}

/// Ends a task as DONE with its report. Returns `false` if it had already ended, for example
/// because it was cancelled.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn finish(
    conn: &mut PgConnection,
    task_id: &str,
    report: Value,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    store::end(conn, task_id, TaskState::Done, &storable_json(report), now).await
}

/// Cancels a task that is waiting or in progress, in the caller's transaction. Returns `false` if
/// there is no such task. Parts that are done stay done.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn cancel(
    conn: &mut PgConnection,
    task_id: &str,
    by: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let report = storable_json(json!({ "cancelledBy": by }));
    store::end(conn, task_id, TaskState::Cancelled, &report, now).await
}

/// Locks the oldest waiting tasks of these kinds in the caller's transaction, which carries all of
/// them out and ends each with [`finish`]. If the projector stops before the commit, nothing is
/// done.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn take_many(
    conn: &mut PgConnection,
    channel: &str,
    kinds: &[&str],
    limit: i64,
) -> Result<Vec<TaskRow>, sqlx::Error> {
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let mut rows = Vec::new();
    for task_id in store::lock_many(conn, channel, &kinds, limit).await? {
        rows.extend(store::get(conn, &task_id).await?);
    }
    Ok(rows)
}
