//! Tells from the database alone what the ledger can do now. Services show it to clients, and ask
//! [`pause_reason`] before they enqueue a change.

use std::time::Duration;

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::store;

/// What the ledger can do now. Commands can be enqueued in every state except `Paused`; they wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// The ledger answers and accepts every command.
    Available,
    /// The ledger answers, but its contracts refuse every change except the resume.
    Paused {
        /// Reason code of the pause.
        reason: String,
    },
    /// The ledger answers, but it is not bootstrapped and holds no GX.
    Empty,
    /// Workers reached the ledger before, but not recently.
    Unreachable {
        /// When a worker reached the ledger for the last time.
        contact_at: OffsetDateTime,
    },
    /// No worker has ever reached the ledger.
    Unavailable,
}

/// Returns what a channel can do now. Contact older than `max_contact_age` does not count.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn capability(
    conn: &mut PgConnection,
    channel: &str,
    max_contact_age: Duration,
    now: OffsetDateTime,
) -> Result<Capability, sqlx::Error> {
    let seen = store::system(conn, channel).await?;
    let Some(contact_at) = seen.contact_at else { return Ok(Capability::Unavailable) };
    if now - contact_at > max_contact_age {
        return Ok(Capability::Unreachable { contact_at });
    }
    Ok(match seen.pause_reason {
        Some(reason) => Capability::Paused { reason },
        None if seen.is_bootstrapped => Capability::Available,
        None => Capability::Empty,
    })
}

/// Returns the reason code if the channel is paused, as of the last block that was applied, or
/// `None` if it is not.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn pause_reason(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<Option<String>, sqlx::Error> {
    store::pause_reason(conn, channel).await
}
