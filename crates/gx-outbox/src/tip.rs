//! How far the read model is behind the ledger, told from the database alone.
//!
//! Submitter and projector ask every peer for its newest block about once a second and
//! keep samples of the height. Lag is the age of the oldest sample that is still above the
//! checkpoint, so that an idle ledger has none; without fresh contact it is unknown, and
//! never zero.

use std::time::Duration;

use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::store::tip;

/// How far behind the read model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lag {
    /// Both heights are known.
    Known {
        /// Blocks that the ledger has and the read model has not.
        blocks: u64,
        /// For how long the oldest of them has been known to exist; 0 without any.
        age: Duration,
    },
    /// Nobody can say.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// Records the ledger's height, seen now.
///
/// # Errors
/// The database's.
pub async fn record(
    conn: &mut PgConnection,
    channel: &str,
    height: i64,
    writer: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    tip::record(conn, channel, height, writer, now).await?;
    tip::prune(conn, channel).await
}

/// The lag of a channel's read model. Contact older than `max_contact_age` counts as none.
///
/// # Errors
/// The database's.
pub async fn lag(
    conn: &mut PgConnection,
    channel: &str,
    max_contact_age: Duration,
    now: OffsetDateTime,
) -> Result<Lag, sqlx::Error> {
    let seen = tip::read(conn, channel).await?;
    let (Some(contact_at), Some(height)) = (seen.contact_at, seen.height) else {
        return Ok(unknown("no worker has reached the ledger yet"));
    };
    let silent = now - contact_at;
    if silent > max_contact_age {
        return Ok(unknown(&format!("no worker has reached the ledger since {contact_at}")));
    }
    let applied = seen.block_number.map_or(0, |number| number.saturating_add(1));
    let blocks = u64::try_from(height.saturating_sub(applied)).unwrap_or(0);
    let oldest = seen.oldest_unapplied_at.unwrap_or(now);
    let age = Duration::try_from(now - oldest).unwrap_or(Duration::ZERO);
    Ok(Lag::Known { blocks, age: if blocks == 0 { Duration::ZERO } else { age } })
}

fn unknown(reason: &str) -> Lag {
    Lag::Unknown { reason: reason.to_owned() }
}
