//! What operators can see and do in the outbox. Called by gx-admin and by `gx outbox`.

mod bulk;
mod store;

use gx_db::{Named, PgConnection, ProfileId, StoredCommandId, TxId};
use gx_model::{AttemptState, CommandId, CommandKind, CommandStatus};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::failure::storable;
use crate::held::release_held;

pub use self::bulk::{BulkFilter, count_matching, matching};
pub use crate::stats::count_by_status;

/// Limit of the rows that [`list`] returns.
const MAX_LISTED: i64 = 1_000;
/// Limit of the attempts that [`attempts`] returns.
const MAX_ATTEMPTS: i64 = 100;
/// Kinds that [`retry`] enqueues under a new id if the ledger has cancelled the first one. For the
/// other kinds a person must ask again: the reviewer, the payer, or the administrator who freezes.
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
    /// Its place in the order of the outbox.
    pub number: i64,
    /// Its id.
    pub command_id: StoredCommandId,
    /// Name of its kind.
    pub kind: String,
    /// The status of the command.
    pub status: Named<CommandStatus>,
    /// The aggregate key: commands with the same key are sent in the order of their numbers.
    pub aggregate_key: String,
    /// The person that it concerns.
    pub profile_id: Option<ProfileId>,
    /// Who requested it.
    pub requested_by: String,
    /// Number of tries.
    pub attempts: i32,
    /// Charged failures by class.
    pub failures: Value,
    /// When it is tried next, if it is PENDING.
    #[serde(with = "time::serde::rfc3339")]
    pub next_attempt_at: OffsetDateTime,
    /// Id of the transaction that carries it or carried it last.
    pub tx_id: Option<TxId>,
    /// Number of the block that settled it.
    pub block_number: Option<i64>,
    /// How it ended, as the ledger recorded it.
    pub outcome: Option<Value>,
    /// The event that it waits for, if it is BLOCKED.
    pub prerequisite: Option<Value>,
    /// Why its last try failed.
    pub last_error: Option<String>,
    /// The status that giving up leads to (`to`), who gave it up (`by`) and the reason, unless it
    /// was erased.
    pub give_up: Option<Value>,
    /// When it was enqueued.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was settled.
    #[serde(with = "time::serde::rfc3339::option")]
    pub settled_at: Option<OffsetDateTime>,
}

/// An attempt as operators see it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRow {
    /// Its transaction id.
    pub tx_id: TxId,
    /// EXECUTE or CANCEL.
    pub purpose: String,
    /// The state of the attempt.
    pub state: Named<AttemptState>,
    /// Number of times it was sent.
    pub sends: i32,
    /// When it is sent again, if it is OPEN.
    #[serde(with = "time::serde::rfc3339")]
    pub next_send_at: OffsetDateTime,
    /// Class of the error of the last send.
    pub error_class: Option<String>,
    /// The error that the ledger returned.
    pub error_detail: Option<String>,
    /// Its validation code, if a block has it.
    pub validation_code: Option<String>,
    /// Number of the block that has it.
    pub block_number: Option<i64>,
    /// When it was stored.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was settled or abandoned.
    #[serde(with = "time::serde::rfc3339::option")]
    pub settled_at: Option<OffsetDateTime>,
}

/// Which commands to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandFilter<'a> {
    /// Commands with this status.
    pub status: Option<CommandStatus>,
    /// Commands of this kind.
    pub kind: Option<CommandKind>,
    /// Commands that concern this person.
    pub profile_id: Option<&'a ProfileId>,
    /// Commands of this aggregate: a Fabric User ID, `treasury_CC` or `SYSTEM`.
    pub aggregate_key: Option<&'a str>,
    /// Commands with a smaller number than this, which is the last number of the previous page.
    pub below: Option<i64>,
}

/// When a discarded command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// It has ended.
    Now,
    /// It ends when the ledger has cancelled its id.
    OnceCancelled,
}

/// Why an operation on a command failed.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// There is no command with this id.
    #[error("there is no command {0}; take an id from `gx outbox list`")]
    Unknown(CommandId),
    /// The status of the command does not allow the operation.
    #[error("command {id} is {status}; {hint}")]
    NotNow {
        /// The command id.
        id: CommandId,
        /// The status of the command.
        status: Named<CommandStatus>,
        /// What to do instead.
        hint: &'static str,
    },
    /// The database failed; the source says why.
    #[error("the outbox cannot be read or written; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Returns the command with this id, or `None` if there is none, not even in the archive.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn command(
    conn: &mut PgConnection,
    id: CommandId,
) -> Result<Option<CommandRow>, sqlx::Error> {
    store::get(conn, id).await
}

/// Returns the attempts that carried a command, newest first, at most 100.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn attempts(
    conn: &mut PgConnection,
    id: CommandId,
) -> Result<Vec<AttemptRow>, sqlx::Error> {
    store::attempts(conn, id, MAX_ATTEMPTS).await
}

/// Returns the commands that a filter selects, newest first, at most 1 000.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn list(
    conn: &mut PgConnection,
    filter: &CommandFilter<'_>,
    limit: i64,
) -> Result<Vec<CommandRow>, sqlx::Error> {
    store::list(conn, filter, limit.clamp(0, MAX_LISTED)).await
}

/// Makes a dead command PENDING again with full budgets, and returns its id.
///
/// If the ledger has cancelled the id, the command is enqueued under a new id, unless a person must
/// ask for it again.
///
/// # Errors
/// [`OperateError::NotNow`] if the command is not DEAD, or if a person must ask for it again;
/// [`OperateError::Unknown`] if there is no such command.
pub async fn retry(
    conn: &mut PgConnection,
    id: CommandId,
    now: OffsetDateTime,
) -> Result<CommandId, OperateError> {
    if store::retry(conn, id, now).await? {
        return Ok(id);
    }
    let new_id = CommandId::derive(&["retry", &id.to_string()]);
    let why = serde_json::json!({ "to": "DISCARDED", "reason": format!("wanted again as {new_id}"),
                                  "by": "retry" });
    let kinds = REISSUED.map(|kind| kind.name().to_owned());
    let reissued = store::reissue(conn, id, new_id, &why, &kinds, now).await?;
    if let Some(aggregate_key) = reissued {
        release_held(conn, &[(aggregate_key, 0)], now).await?;
        return Ok(new_id);
    }
    let row = command(conn, id).await?.ok_or(OperateError::Unknown(id))?;
    let hint = match (row.status.known(), row.kind.as_str()) {
        (Some(CommandStatus::Dead), "CREATE_USER") => {
            "approve the account again, because the ledger has cancelled the id of the command"
        }
        (Some(CommandStatus::Dead), _) => {
            "request it again, because the ledger has cancelled its id"
        }
        _ => "retry only commands that are DEAD",
    };
    Err(OperateError::NotNow { id, status: row.status, hint })
}

/// Returns the ids of all commands about a person, also of archived ones.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn ids_of_person(
    conn: &mut PgConnection,
    profile_id: &str,
) -> Result<Vec<String>, sqlx::Error> {
    store::ids_of_person(conn, profile_id).await
}

/// Erases the reasons that operators gave when they discarded these commands, also archived ones,
/// and returns the number of commands. The members `to` and `by` of `giveUp` are kept.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn erase_reasons(conn: &mut PgConnection, ids: &[String]) -> Result<u64, sqlx::Error> {
    // In this order: a command that is archived meanwhile is found in the archive.
    let live = store::erase_live_reasons(conn, ids).await?;
    Ok(live + store::erase_archived_reasons(conn, ids).await?)
}

/// Erases the reasons of discarded commands that are these texts, and returns the number of
/// commands. Each text is that of the id at the same place; another reason of a command stays.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn erase_reasons_that_are(
    conn: &mut PgConnection,
    ids: &[String],
    texts: &[String],
) -> Result<u64, sqlx::Error> {
    let texts: Vec<String> = texts.iter().map(|text| storable(text)).collect();
    let live = store::erase_live_reasons_that_are(conn, ids, &texts).await?;
    Ok(live + store::erase_archived_reasons_that_are(conn, ids, &texts).await?)
}

/// Withdraws a command that is not settled. It becomes DISCARDED when the ledger has cancelled its
/// id. The ledger is asked even if this database has no attempt: a database that was restored from
/// an older backup may have lost it.
///
/// # Errors
/// [`OperateError::NotNow`] if the command is in an open attempt or settled;
/// [`OperateError::Unknown`] if there is no such command.
pub async fn discard(
    conn: &mut PgConnection,
    id: CommandId,
    reason: &str,
    by: &str,
    now: OffsetDateTime,
) -> Result<Discarded, OperateError> {
    let why = serde_json::json!({ "to": "DISCARDED", "reason": storable(reason), "by": by });
    if let Some(aggregate_key) = store::discard_cancelled(conn, id, &why, now).await? {
        release_held(conn, &[(aggregate_key, 0)], now).await?;
        return Ok(Discarded::Now);
    }
    if store::cancel(conn, id, &why, now).await? {
        return Ok(Discarded::OnceCancelled);
    }
    let row = command(conn, id).await?.ok_or(OperateError::Unknown(id))?;
    let hint = match row.status.known() {
        Some(CommandStatus::Submitted) => "wait for its block, because its envelope has been sent",
        Some(CommandStatus::Dead) => "look at it again, because its status has just changed",
        _ => "leave it, because a settled command never changes",
    };
    Err(OperateError::NotNow { id, status: row.status, hint })
}
