//! What an operator may see and do.

use gx_db::PgConnection;
use gx_model::{CommandId, CommandKind, CommandStatus};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::failure::storable;
use crate::store::{commands, operators};

/// Most rows that [`list`] gives.
const MAX_LISTED: i64 = 1_000;
/// Most envelopes that [`attempts`] gives.
const MAX_ATTEMPTS: i64 = 100;
/// Kinds that are wanted again under another id when the ledger has cancelled the first one.
/// Of the others somebody asks anew: the reviewer, the payer, the administrator who freezes.
const REISSUED: [CommandKind; 6] = [
    CommandKind::BootstrapSystem,
    CommandKind::InitializeCountryData,
    CommandKind::PauseSystem,
    CommandKind::ResumeSystem,
    CommandKind::ActivateTreasury,
    CommandKind::DistributeGenesis,
];

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

/// An envelope as operators see it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRow {
    /// Its transaction.
    pub tx_id: String,
    /// EXECUTE or CANCEL.
    pub purpose: String,
    /// Where it stands.
    pub state: String,
    /// How often it was sent.
    pub sends: i32,
    /// When it is sent again, while it is OPEN.
    #[serde(with = "time::serde::rfc3339")]
    pub next_send_at: OffsetDateTime,
    /// The class of the last sending's error.
    pub error_class: Option<String>,
    /// What the ledger said.
    pub error_detail: Option<String>,
    /// The code with which it stands in a block.
    pub validation_code: Option<String>,
    /// That block.
    pub block_number: Option<i64>,
    /// When it was stored.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub settled_at: Option<OffsetDateTime>,
}

/// Which commands to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandFilter<'a> {
    /// In this status.
    pub status: Option<CommandStatus>,
    /// Of this kind.
    pub kind: Option<CommandKind>,
    /// Concerning this person.
    pub profile_id: Option<&'a str>,
    /// Of this aggregate: a Fabric User ID, `treasury_CC` or `SYSTEM`.
    pub aggregate_key: Option<&'a str>,
    /// With a smaller number: the last one of the page before.
    pub below: Option<i64>,
}

/// How the outbox fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// How many commands stand where, as [`count_by_status`] names them.
    pub commands: Vec<(CommandStatus, i64)>,
    /// When the oldest command was wanted that is neither settled nor DEAD.
    pub oldest_waiting: Option<OffsetDateTime>,
    /// Envelopes that are in no block yet.
    pub open_attempts: i64,
    /// When the oldest of them was stored.
    pub oldest_open_attempt: Option<OffsetDateTime>,
}

/// When a discarded command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// It has.
    Now,
    /// When the ledger has cancelled its id.
    OnceCancelled,
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

/// The envelopes that carried a command, the newest first, at most 100.
///
/// # Errors
/// The database's.
pub async fn attempts(
    conn: &mut PgConnection,
    id: CommandId,
) -> Result<Vec<AttemptRow>, sqlx::Error> {
    operators::attempts(conn, &id.to_string(), MAX_ATTEMPTS).await
}

/// Commands, the newest first, at most 1 000.
///
/// # Errors
/// The database's.
pub async fn list(
    conn: &mut PgConnection,
    filter: &CommandFilter<'_>,
    limit: i64,
) -> Result<Vec<CommandRow>, sqlx::Error> {
    operators::list(conn, filter, limit.clamp(0, MAX_LISTED)).await
}

/// How many commands stand where: every status that is not final, and
/// COMMITTED_UNVERIFIED, at which somebody must look.
///
/// # Errors
/// The database's.
pub async fn count_by_status(
    conn: &mut PgConnection,
) -> Result<Vec<(CommandStatus, i64)>, sqlx::Error> {
    Ok(by_status(&operators::count_unsettled(conn).await?))
}

fn by_status(counted: &[operators::CountRow]) -> Vec<(CommandStatus, i64)> {
    let of = |status: CommandStatus| {
        counted.iter().find(|row| row.status == status.name()).map_or(0, |row| row.count)
    };
    use CommandStatus::{Blocked, CommittedUnverified, Dead, Held, Pending, Submitted};
    [Pending, Held, Submitted, Blocked, Dead, CommittedUnverified]
        .map(|status| (status, of(status)))
        .to_vec()
}

/// What the metrics say of the outbox.
///
/// # Errors
/// The database's.
pub async fn census(conn: &mut PgConnection) -> Result<Census, sqlx::Error> {
    let counted = operators::count_unsettled(conn).await?;
    let (open_attempts, oldest_open_attempt) = operators::count_open(conn).await?;
    let waits = |row: &&operators::CountRow| {
        !["DEAD", "COMMITTED_UNVERIFIED"].contains(&row.status.as_str())
    };
    Ok(Census {
        commands: by_status(&counted),
        oldest_waiting: counted.iter().filter(waits).map(|row| row.oldest).min(),
        open_attempts,
        oldest_open_attempt,
    })
}

/// Sends a dead command again, with fresh budgets; the id under which it goes. That is
/// another one where the ledger has cancelled the first and nobody could ask anew.
///
/// # Errors
/// [`OperateError::NotNow`] unless it is DEAD, and where somebody is to ask anew.
pub async fn retry(
    conn: &mut PgConnection,
    id: CommandId,
    now: OffsetDateTime,
) -> Result<CommandId, OperateError> {
    let text = id.to_string();
    if operators::retry(conn, &text, now).await? {
        return Ok(id);
    }
    let new_id = CommandId::derive(&["retry", &text]);
    let why = serde_json::json!({ "to": "DISCARDED", "reason": format!("wanted again as {new_id}"),
                                  "by": "retry" });
    let kinds = REISSUED.map(|kind| kind.name().to_owned());
    let reissued = operators::reissue(conn, &text, &new_id.to_string(), &why, &kinds, now).await?;
    if let Some(aggregate_key) = reissued {
        commands::release_held(conn, &[(aggregate_key, 0)], now).await?;
        return Ok(new_id);
    }
    let row = command(conn, id).await?.ok_or(OperateError::Unknown(id))?;
    let hint = match (row.status.as_str(), row.kind.as_str()) {
        ("DEAD", "CREATE_USER") => {
            "the ledger has cancelled its id and the account is back in review, so approve it anew"
        }
        ("DEAD", _) => "the ledger has cancelled its id, so ask for it anew",
        _ => "only a dead command can be retried",
    };
    Err(OperateError::NotNow { id, status: row.status, hint })
}

/// Withdraws a command that is not settled. It is DISCARDED when the ledger has cancelled its
/// id, also where nothing here says that it was ever sent: a database that was put back to an
/// older backup has forgotten that.
///
/// # Errors
/// [`OperateError::NotNow`] while it is in flight, and once it is settled.
pub async fn discard(
    conn: &mut PgConnection,
    id: CommandId,
    reason: &str,
    by: &str,
    now: OffsetDateTime,
) -> Result<Discarded, OperateError> {
    let text = id.to_string();
    let why = serde_json::json!({ "to": "DISCARDED", "reason": storable(reason), "by": by });
    if let Some(aggregate_key) = operators::discard_cancelled(conn, &text, &why, now).await? {
        commands::release_held(conn, &[(aggregate_key, 0)], now).await?;
        return Ok(Discarded::Now);
    }
    if operators::cancel(conn, &text, &why, now).await? {
        return Ok(Discarded::OnceCancelled);
    }
    let row = command(conn, id).await?.ok_or(OperateError::Unknown(id))?;
    let hint = match row.status.as_str() {
        "SUBMITTED" => "it is on its way, so wait for its block",
        "DEAD" => "the ledger has cancelled its id already",
        _ => "a settled command stays as it is",
    };
    Err(OperateError::NotNow { id, status: row.status, hint })
}
