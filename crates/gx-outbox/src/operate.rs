//! What an operator may see and do.

use gx_db::PgConnection;
use gx_model::{CommandId, CommandStatus};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::failure::storable;
use crate::store::{commands, operators};

/// Most rows that [`list`] gives.
const MAX_LISTED: i64 = 1_000;

/// A command as operators see it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandRow {
    /// Its place in the order.
    pub number: i64,
    /// Its id.
    pub command_id: String,
    /// Its kind's name.
    pub kind: String,
    /// Where it stands.
    pub status: String,
    /// What keeps it in order.
    pub aggregate_key: String,
    /// The person whom it concerns.
    pub profile_id: Option<String>,
    /// Who wanted it.
    pub requested_by: String,
    /// Tries so far.
    pub attempts: i32,
    /// Failed tries by class.
    pub failures: Value,
    /// When it is tried next, while it is PENDING.
    #[serde(with = "time::serde::rfc3339")]
    pub next_attempt_at: OffsetDateTime,
    /// The transaction that carries or carried it.
    pub tx_id: Option<String>,
    /// The block that settled it.
    pub block_number: Option<i64>,
    /// How it ended, in the ledger's words.
    pub outcome: Option<Value>,
    /// What it waits for, while it is BLOCKED.
    pub prerequisite: Option<Value>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// To what end it is being given up, and why.
    pub give_up: Option<Value>,
    /// When it was wanted.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub settled_at: Option<OffsetDateTime>,
}

/// Why an operator's wish was not granted.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// No such command.
    #[error("there is no command {0}")]
    Unknown(CommandId),
    /// Where the command stands, this cannot be done.
    #[error("command {id} is {status}; {hint}")]
    NotNow {
        /// Which command.
        id: CommandId,
        /// Where it stands.
        status: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// The database failed.
    #[error("the outbox cannot be read or written")]
    Database(#[from] sqlx::Error),
}

/// One command by its id.
///
/// # Errors
/// The database's.
pub async fn command(
    conn: &mut PgConnection,
    id: CommandId,
) -> Result<Option<CommandRow>, sqlx::Error> {
    operators::get(conn, &id.to_string()).await
}

/// The newest commands, of one status or of all, at most 1 000.
///
/// # Errors
/// The database's.
pub async fn list(
    conn: &mut PgConnection,
    status: Option<CommandStatus>,
    limit: i64,
) -> Result<Vec<CommandRow>, sqlx::Error> {
    operators::list(conn, status.map(CommandStatus::name), limit.clamp(0, MAX_LISTED)).await
}

/// How many commands stand where; every status that is not final is named.
///
/// # Errors
/// The database's.
pub async fn count_by_status(
    conn: &mut PgConnection,
) -> Result<Vec<(CommandStatus, i64)>, sqlx::Error> {
    let counted = operators::count_unsettled(conn).await?;
    let of = |status: CommandStatus| {
        counted.iter().find(|(name, _)| name == status.name()).map_or(0, |(_, count)| *count)
    };
    use CommandStatus::{Blocked, Dead, Held, Pending, Submitted};
    Ok([Pending, Held, Submitted, Blocked, Dead].map(|status| (status, of(status))).to_vec())
}

/// Sends a dead command again, with fresh budgets.
///
/// # Errors
/// [`OperateError::NotNow`] unless it is DEAD, and where the ledger has fenced its id off.
pub async fn retry(
    conn: &mut PgConnection,
    id: CommandId,
    now: OffsetDateTime,
) -> Result<(), OperateError> {
    if operators::retry(conn, &id.to_string(), now).await? {
        return Ok(());
    }
    let row = command(conn, id).await?.ok_or(OperateError::Unknown(id))?;
    let hint = match row.status.as_str() {
        "DEAD" => "the ledger has cancelled its id, so ask for it anew under another id",
        _ => "only a dead command can be retried",
    };
    Err(OperateError::NotNow { id, status: row.status, hint })
}

/// Withdraws a command that is not settled. One that was never sent is DISCARDED at once;
/// one that was, and every CREATE_USER, whose account must go back to review, only when
/// the ledger has cancelled its id.
///
/// # Errors
/// [`OperateError::NotNow`] while it is in flight, and once it is settled.
pub async fn discard(
    conn: &mut PgConnection,
    id: CommandId,
    reason: &str,
    by: &str,
    now: OffsetDateTime,
) -> Result<(), OperateError> {
    let text = id.to_string();
    let why = serde_json::json!({ "to": "DISCARDED", "reason": storable(reason), "by": by });
    if let Some(aggregate_key) = operators::discard_unsent(conn, &text, &why, now).await? {
        commands::release_held(conn, &aggregate_key, now).await?;
        return Ok(());
    }
    if operators::discard_sent(conn, &text, &why, now).await? {
        return Ok(());
    }
    let row = command(conn, id).await?.ok_or(OperateError::Unknown(id))?;
    let hint = match row.status.as_str() {
        "SUBMITTED" => "it is on its way, so wait for its block",
        "DEAD" => "the ledger has cancelled its id already",
        _ => "a settled command stays as it is",
    };
    Err(OperateError::NotNow { id, status: row.status, hint })
}
