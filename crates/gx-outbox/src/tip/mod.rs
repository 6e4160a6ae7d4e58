//! Tells from the database alone how far the read model is behind the ledger.
//!
//! Submitter and projector ask every peer for its height about once a second and store samples. The
//! lag is the age of the oldest sample above the checkpoint, so an idle ledger has a lag of zero.
//! If no peer has answered for a while, the lag is unknown, never zero. Health checks show the lag.

mod capability;
mod store;

use std::time::Duration;

use gx_db::PgConnection;
use time::OffsetDateTime;

pub use self::capability::{Capability, capability, pause_reason};

/// How far the read model is behind the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lag {
    /// The ledger answered recently.
    Known {
        /// Number of blocks that the ledger has and the read model does not.
        blocks: u64,
        /// Time since the oldest of these blocks was first seen; 0 if there are none.
        age: Duration,
    },
    /// No worker has reached the ledger recently.
    Unknown {
        /// Why the lag is unknown, for an operator.
        reason: String,
    },
}

/// Records that the ledger has this height at `now`.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn record(
    conn: &mut PgConnection,
    channel: &str,
    height: i64,
    writer: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    store::record(conn, channel, height, writer, now).await?;
    store::prune(conn, channel).await
}

/// Returns the lag of a channel's read model. Contact older than `max_contact_age` does not count.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn lag(
    conn: &mut PgConnection,
    channel: &str,
    max_contact_age: Duration,
    now: OffsetDateTime,
) -> Result<Lag, sqlx::Error> {
    let seen = store::read(conn, channel).await?;
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

/// The last block that the projector applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Hash of the chain's block 0.
    pub genesis_hash: Vec<u8>,
    /// Number of that block.
    pub block_number: i64,
    /// Hash of that block.
    pub block_hash: Vec<u8>,
}

/// Returns the projector's checkpoint, or `None` if it has not applied a block of this channel.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn checkpoint(
    conn: &mut PgConnection,
    channel: &str,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    store::checkpoint(conn, channel).await
}
