//! Events that could not be applied: what they are, why, and their replay.
//!
//! A service does not write the read model. It asks the projector by a row of
//! `ProjectorTask`, which says later what came of it.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_auth::audit;
use gx_db::PgConnection;
use gx_outbox::tasks::{self, Task, TaskRow};
use gx_serve::{Problem, ProblemKind};
use serde::Serialize;
use serde_json::json;
use sqlx::Connection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::commands::Decision;

/// No such event.
pub(crate) const NO_DEAD_EVENT: ProblemKind =
    ProblemKind::new("no_dead_event", 404, "There is no such dead event");
/// Nothing to replay.
pub(crate) const NOT_HELD: ProblemKind =
    ProblemKind::new("not_held", 409, "The event was replayed already");
/// No such task.
pub(crate) const NO_TASK: ProblemKind = ProblemKind::new("no_task", 404, "There is no such task");

/// Where a dead letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadEventState {
    /// It holds back what it names.
    Held,
    /// It was applied after all.
    Replayed,
}

impl DeadEventState {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Held, Self::Replayed];

    /// As `EventDLQ.state` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Replayed => "REPLAYED",
        }
    }
}

/// An event that could not be applied.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadEvent {
    /// Its id.
    pub dead_event_id: i64,
    /// The channel it came on.
    pub channel: String,
    /// Its block.
    pub block_number: i64,
    /// Its transaction.
    pub tx_id: String,
    /// Its place in the transaction.
    pub event_index: i32,
    /// The command that brought it.
    pub command_id: String,
    /// Its name, where it has one.
    #[schema(required)]
    pub event_name: Option<String>,
    /// What it holds back.
    pub aggregates: Vec<String>,
    /// Why it could not be applied.
    pub reason: String,
    /// HELD or REPLAYED.
    pub state: String,
    /// When it was held.
    #[serde(with = "gx_serve::moment")]
    pub created_at: OffsetDateTime,
    /// When it was applied after all.
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub resolved_at: Option<OffsetDateTime>,
}

/// Which dead letters to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadEventFilter<'a> {
    /// In this state.
    pub state: Option<DeadEventState>,
    /// Of this name.
    pub event_name: Option<&'a str>,
    /// Holding this back.
    pub aggregate: Option<&'a str>,
    /// With a smaller id: the last one of the page before.
    pub below: Option<i64>,
}

/// Which held events the projector is asked to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay<'a> {
    /// One, by its id.
    One(i64),
    /// Every one of a channel.
    All {
        /// The channel.
        channel: &'a str,
    },
}

/// Why the projector was not asked.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No such event.
    #[error("there is no dead event {0}")]
    Unknown(i64),
    /// It was replayed before.
    #[error("dead event {0} was replayed already")]
    NotHeld(i64),
    /// The database failed.
    #[error("the dead events cannot be read, or the projector not asked")]
    Database(#[from] sqlx::Error),
}

/// Dead letters, the newest first.
///
/// # Errors
/// The database's.
pub async fn dead_events(
    conn: &mut PgConnection,
    filter: &DeadEventFilter<'_>,
    limit: i64,
) -> Result<Vec<DeadEvent>, sqlx::Error> {
    store::list(conn, filter, limit).await
}

/// Asks the projector to try held events again and writes the audit row, in one transaction.
///
/// # Errors
/// Why it was not asked.
pub async fn ask_replay(
    conn: &mut PgConnection,
    replay: Replay<'_>,
    task_id: &str,
    decision: &Decision<'_>,
    now: OffsetDateTime,
) -> Result<TaskRow, ReplayError> {
    let mut tx = conn.begin().await?;
    let (channel, dead_event_id) = match replay {
        Replay::All { channel } => (channel.to_owned(), None),
        Replay::One(id) => {
            let event = store::get(&mut tx, id).await?.ok_or(ReplayError::Unknown(id))?;
            if event.state != DeadEventState::Held.name() {
                return Err(ReplayError::NotHeld(id));
            }
            (event.channel, Some(id))
        }
    };
    let task = Task::ReplayDeadEvents { dead_event_id };
    let row = TaskRow::new(task_id, &channel, task, decision.by(), now);
    tasks::ask(&mut tx, &row).await?;
    let target = dead_event_id.map(|id| id.to_string());
    let entry = audit::Entry {
        actor: decision.actor,
        action: "dead_events.replay_asked",
        target_type: "EventDLQ",
        target_id: target.as_deref(),
        before: None,
        after: Some(json!({ "taskId": task_id, "reason": decision.reason })),
        request_id: decision.request_id,
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    Ok(row)
}

fn no_dead_event() -> Problem {
    Problem::new(&NO_DEAD_EVENT, "The list at /api/v1/admin/dead-events has the ids.")
}

fn refused(error: ReplayError) -> Problem {
    match error {
        ReplayError::Unknown(_) => no_dead_event(),
        ReplayError::NotHeld(_) => Problem::new(&NOT_HELD, "Nothing is left to do."),
        ReplayError::Database(error) => error.into(),
    }
}
