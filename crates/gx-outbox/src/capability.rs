//! What the ledger can do for anybody now, told from the database alone.

use std::time::Duration;

use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::store::tip;

/// What the ledger can do now. Commands are taken in every state but `Paused`; they wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// It answers, and takes every command.
    Available,
    /// It answers, and refuses every change but the resume.
    Paused {
        /// Code of the reason.
        reason: String,
    },
    /// It answers, and holds no supply yet.
    Empty,
    /// It answered once, and nobody reaches it now.
    Unreachable {
        /// When it was heard of last.
        contact_at: OffsetDateTime,
    },
    /// No worker has ever reached one.
    Unavailable,
}

/// What a channel can do now. Contact older than `max_contact_age` counts as none.
///
/// # Errors
/// The database's.
pub async fn capability(
    conn: &mut PgConnection,
    channel: &str,
    max_contact_age: Duration,
    now: OffsetDateTime,
) -> Result<Capability, sqlx::Error> {
    let seen = tip::system(conn, channel).await?;
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

/// Why the channel is paused, if it is, as of the last block applied.
///
/// # Errors
/// The database's.
pub async fn pause_reason(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<Option<String>, sqlx::Error> {
    tip::pause_reason(conn, channel).await
}
