//! What operators ask of the projector. Nobody else writes the read model, so a service leaves
//! a row in its own transaction, and the projector carries it out and reports there.

use gx_db::PgConnection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::failure::storable_json;
use crate::store::tasks;

/// Something that the projector is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "arguments", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Task {
    /// Try held events again, in the chain's order.
    ReplayDeadEvents {
        /// One, by its id; every one without it.
        dead_event_id: Option<i64>,
    },
    /// Compare the read model with the chain.
    VerifyProjection {},
    /// Make the read model anew beside the live one.
    RebuildProjection {
        /// Whether to put right what differs.
        switch: bool,
    },
}

/// Kinds that are carried out between two blocks, in one transaction.
pub const BETWEEN_BLOCKS: [&str; 1] = ["REPLAY_DEAD_EVENTS"];
/// Kinds that take long, and are carried out beside the projection.
pub const BESIDE_BLOCKS: [&str; 2] = ["VERIFY_PROJECTION", "REBUILD_PROJECTION"];

/// A task as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRow {
    /// Its id, made by whoever asks.
    pub task_id: String,
    /// Whose read model.
    pub channel: String,
    /// What is to be done.
    pub kind: String,
    /// To what.
    pub arguments: Value,
    /// Who asked.
    pub requested_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub requested_at: OffsetDateTime,
    /// WAITING or DONE.
    pub state: String,
    /// What came of it, once it is DONE.
    pub report: Option<Value>,
    /// When it was.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
}

impl TaskRow {
    /// A task that waits.
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
            state: "WAITING".to_owned(),
            report: None,
            finished_at: None,
        }
    }

    /// What is to be done.
    ///
    /// # Errors
    /// Names what this release does not know of it.
    pub fn task(&self) -> Result<Task, serde_json::Error> {
        serde_json::from_value(
            serde_json::json!({ "kind": self.kind, "arguments": self.arguments }),
        )
    }

    /// Whether it was carried out.
    pub fn is_done(&self) -> bool {
        self.state == "DONE"
    }
}

/// Asks the projector, in the caller's transaction.
///
/// # Errors
/// The database's.
pub async fn ask(conn: &mut PgConnection, task: &TaskRow) -> Result<(), sqlx::Error> {
    tasks::insert(conn, task).await
}

/// A task by its id.
///
/// # Errors
/// The database's.
pub async fn get(conn: &mut PgConnection, task_id: &str) -> Result<Option<TaskRow>, sqlx::Error> {
    tasks::get(conn, task_id).await
}

/// Locks the oldest waiting task of some kinds in the caller's transaction, which carries it
/// out and ends with [`finish`]: a projector that dies in between has done nothing.
///
/// # Errors
/// The database's.
pub async fn take(
    conn: &mut PgConnection,
    channel: &str,
    kinds: &[&str],
) -> Result<Option<TaskRow>, sqlx::Error> {
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    tasks::take(conn, channel, &kinds).await
}

/// Ends a task with what came of it.
///
/// # Errors
/// The database's.
pub async fn finish(
    conn: &mut PgConnection,
    task_id: &str,
    report: Value,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    tasks::finish(conn, task_id, &storable_json(report), now).await
}
