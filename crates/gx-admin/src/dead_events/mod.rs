//! Lists events that could not be applied, and asks the projector to apply them again. Called by
//! the routes of svc-admin and by `gx projection dead`.
//!
//! Only the projector writes the read model, so a replay is a row of `ProjectorTask`; the projector
//! stores its report there.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use gx_auth::audit;
use gx_db::{Named, PgConnection, StoredCommandId, TxId};
use gx_model::UnknownName;
use gx_outbox::tasks::{self, Task, TaskRow};
use gx_serve::{Problem, ProblemKind};
use serde::Serialize;
use serde_json::json;
use sqlx::Connection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::commands::AuditedDecision;

/// The dead event does not exist.
pub(crate) const NO_DEAD_EVENT: ProblemKind =
    ProblemKind::new("no_dead_event", 404, "There is no such dead event");
/// The event has been applied.
pub(crate) const NOT_HELD: ProblemKind =
    ProblemKind::new("not_held", 409, "The event has already been replayed");
/// The task does not exist.
pub(crate) const NO_TASK: ProblemKind = ProblemKind::new("no_task", 404, "There is no such task");

/// The state of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadEventState {
    /// The event is not applied.
    Held,
    /// The event was applied by a replay.
    Replayed,
}

impl DeadEventState {
    /// All states.
    pub const ALL: [Self; 2] = [Self::Held, Self::Replayed];

    /// Returns the value of `EventDLQ.state`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Replayed => "REPLAYED",
        }
    }
}

impl fmt::Display for DeadEventState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DeadEventState {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let state = Self::ALL.into_iter().find(|state| state.name() == name);
        state.ok_or(UnknownName("a dead event is HELD or REPLAYED"))
    }
}

/// An event that could not be applied.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadEvent {
    /// Id of the dead letter.
    pub dead_event_id: i64,
    /// Channel of the event.
    #[schema(example = "gxchannel")]
    pub channel: String,
    /// Number of the event's block.
    pub block_number: i64,
    /// Id of the event's transaction.
    #[schema(value_type = String, example = "5d0a1f8e2c…")]
    pub tx_id: TxId,
    /// Index of the event in its transaction, from 0.
    pub event_index: i32,
    /// The command that caused the event.
    #[schema(value_type = String, example = "7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91")]
    pub command_id: StoredCommandId,
    /// Name of the event, or `null` if it cannot be read.
    #[schema(required, example = "UserCreated")]
    pub event_name: Option<String>,
    /// Aggregates that the event concerns.
    #[schema(example = json!(["MY 463 AUN834 0QKZB 5821"]))]
    pub aggregates: Vec<String>,
    /// The reason that the event could not be applied.
    #[schema(example = "the account belongs to another person")]
    pub reason: String,
    /// HELD or REPLAYED.
    #[schema(value_type = String, example = "HELD")]
    pub state: Named<DeadEventState>,
    /// When the event was set aside.
    #[serde(with = "gx_serve::moment")]
    pub created_at: OffsetDateTime,
    /// When a replay applied the event.
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub resolved_at: Option<OffsetDateTime>,
}

/// Filters of a list of dead letters; `None` matches all.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadEventFilter<'a> {
    /// Only events in this state.
    pub state: Option<DeadEventState>,
    /// Only events with this name.
    pub event_name: Option<&'a str>,
    /// Only events with this aggregate.
    pub aggregate: Option<&'a str>,
    /// Only events with a smaller id: the last id of the previous page.
    pub below: Option<i64>,
}

/// The held events that the projector applies again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay<'a> {
    /// One event, by its id.
    One(i64),
    /// All held events of a channel.
    All {
        /// The channel.
        channel: &'a str,
    },
}

/// The reason that no replay was requested.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The dead event does not exist.
    #[error("there is no dead event {0}; take an id from `gx projection dead list`")]
    Unknown(i64),
    /// The event was applied by an earlier replay.
    #[error("dead event {0} has already been replayed; nothing is left to do")]
    NotHeld(i64),
    /// The database failed.
    #[error("the dead events cannot be read or replayed; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Returns dead letters that match the filter, the newest first.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn dead_events(
    conn: &mut PgConnection,
    filter: &DeadEventFilter<'_>,
    limit: i64,
) -> Result<Vec<DeadEvent>, sqlx::Error> {
    store::list(conn, filter, limit).await
}

/// Stores the task that applies held events again, and writes the audit row in the same
/// transaction.
///
/// # Errors
/// [`ReplayError`] says why; nothing is stored then.
pub async fn ask_replay(
    conn: &mut PgConnection,
    replay: Replay<'_>,
    task_id: &str,
    decision: &AuditedDecision<'_>,
    now: OffsetDateTime,
) -> Result<TaskRow, ReplayError> {
    let mut tx = conn.begin().await?;
    let (channel, dead_event_id) = match replay {
        Replay::All { channel } => (channel.to_owned(), None),
        Replay::One(id) => {
            let event = store::get(&mut tx, id).await?.ok_or(ReplayError::Unknown(id))?;
            if event.state != DeadEventState::Held {
                return Err(ReplayError::NotHeld(id));
            }
            (event.channel, Some(id))
        }
    };
    let task = Task::ReplayDeadEvents { dead_event_id };
    let row = TaskRow::new(task_id, &channel, task, decision.by(), now);
    tasks::ask(&mut tx, &row).await?;
    let target = dead_event_id.map(|id| id.to_string());
    let (action, after) = ("dead_events.replay_asked", json!({ "taskId": task_id }));
    let entry = decision.entry(action, "EventDLQ", target.as_deref(), after);
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(row)
}

fn no_dead_event() -> Problem {
    Problem::new(&NO_DEAD_EVENT, "Take an id from the list at /api/v1/admin/dead-events.")
}

fn refused(error: ReplayError) -> Problem {
    match error {
        ReplayError::Unknown(_) => no_dead_event(),
        ReplayError::NotHeld(_) => Problem::new(&NOT_HELD, "Nothing is left to do."),
        ReplayError::Database(error) => error.into(),
    }
}
