//! Commands whose declared result must be found on the ledger before they become COMMITTED. The
//! projector looks for the results between blocks. Until it has an answer of the ledger, a command
//! stays SUBMITTED.

mod store;

use gx_db::{PgConnection, StoredCommandId};
use gx_model::{CommandKind, CommandStatus};
use serde_json::Value;
use time::OffsetDateTime;

use crate::failure::storable;
use crate::held::release_held;

/// A command that a block has applied and whose declared result has not been checked yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Unverified {
    /// The command id.
    pub command_id: StoredCommandId,
    /// Name of its kind.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
    /// The block in which it took effect.
    pub block_number: i64,
}

/// Returns the names of the kinds that declare a result.
pub(crate) fn verified_kinds() -> Vec<String> {
    CommandKind::ALL
        .into_iter()
        .filter(|kind| kind.post_condition().is_some())
        .map(|kind| kind.name().to_owned())
        .collect()
}

/// Returns the commands whose result must be checked, oldest first.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn unverified(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Unverified>, sqlx::Error> {
    store::waiting(conn, limit).await
}

/// Ends a command whose result was checked: COMMITTED, or COMMITTED_UNVERIFIED if `unmet` says what
/// was not found. Returns `false` if it was ended before.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn verified(
    conn: &mut PgConnection,
    command_id: &StoredCommandId,
    unmet: Option<&str>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let status = match unmet {
        Some(_) => CommandStatus::CommittedUnverified,
        None => CommandStatus::Committed,
    };
    let unmet = unmet.map(storable);
    let ended = store::end(conn, command_id, status, unmet.as_deref(), now).await?;
    let Some(aggregate_key) = ended else { return Ok(false) };
    release_held(conn, &[(aggregate_key, 0)], now).await?;
    Ok(true)
}
