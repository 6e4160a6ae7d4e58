//! Commands whose declared result must be found on the ledger before they count as COMMITTED.

use gx_db::PgConnection;
use gx_model::CommandKind;
use serde_json::Value;
use time::OffsetDateTime;

use crate::failure::storable;
use crate::store::{commands, verification};

/// A command that took effect by the ledger's word, and whose result nobody has looked for
/// yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Unverified {
    /// Its id.
    pub command_id: String,
    /// Its kind's name.
    pub kind: String,
    /// What was wanted.
    pub payload: Value,
    /// The block that carries it.
    pub block_number: i64,
}

/// Names of the kinds that declare a result.
pub(crate) fn verified_kinds() -> Vec<String> {
    CommandKind::ALL
        .into_iter()
        .filter(|kind| kind.post_condition().is_some())
        .map(|kind| kind.name().to_owned())
        .collect()
}

/// The commands whose result is to be looked for, the oldest first.
///
/// # Errors
/// The database's.
pub async fn unverified(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Unverified>, sqlx::Error> {
    verification::waiting(conn, limit).await
}

/// Ends a command whose result was looked for: COMMITTED, or COMMITTED_UNVERIFIED with what
/// is missing. `false` where it was ended before.
///
/// # Errors
/// The database's.
pub async fn verified(
    conn: &mut PgConnection,
    command_id: &str,
    unmet: Option<&str>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let status = if unmet.is_some() { "COMMITTED_UNVERIFIED" } else { "COMMITTED" };
    let unmet = unmet.map(storable);
    let ended = verification::end(conn, command_id, status, unmet.as_deref(), now).await?;
    let Some(aggregate_key) = ended else { return Ok(false) };
    commands::release_held(conn, &[(aggregate_key, 0)], now).await?;
    Ok(true)
}
