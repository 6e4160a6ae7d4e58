//! Attempts: what was signed, stored before it is sent, and sent again, the same bytes,
//! until its id stands in a block.

use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::claim::Lease;
use crate::failure::{Fate, storable};
use crate::retry::{FailureClass, RetryPolicy};
use crate::store::{attempts, commands, lanes, look};
use crate::tried::Try;

/// What an envelope asks of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To carry its commands out.
    Execute,
    /// To record their ids as cancelled.
    Cancel,
}

impl Purpose {
    /// The name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Execute => "EXECUTE",
            Self::Cancel => "CANCEL",
        }
    }
}

/// An endorsed and signed envelope about to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewAttempt<'a> {
    /// The ledger's transaction id.
    pub tx_id: &'a str,
    /// What it asks.
    pub purpose: Purpose,
    /// The chain for which it was signed.
    pub genesis_hash: &'a [u8],
    /// The bytes to send.
    pub envelope: &'a [u8],
    /// Its commands, in order.
    pub command_ids: &'a [String],
    /// What they touch.
    pub touches: &'a [String],
}

/// An attempt to be sent again.
#[derive(Clone, Debug)]
pub struct OpenAttempt {
    /// The ledger's transaction id.
    pub tx_id: String,
    /// The bytes to send.
    pub envelope: Vec<u8>,
    /// How often it was sent, with this time.
    pub sends: u32,
    /// Height of the ledger when the orderer refused it, if it did.
    pub refused_at_height: Option<i64>,
}

/// Why an attempt was not stored. Nothing was written, and nothing may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreRefusal {
    /// Somebody else leased a lane of it meanwhile.
    LeaseLost,
    /// An attempt that touches the same accounts was opened meanwhile.
    Overlap,
    /// A command is not PENDING any more.
    CommandsChanged,
}

/// What came of sending an envelope.
#[derive(Clone, Debug)]
pub struct Reply<'a> {
    /// When to send it again, unless a block carries it first.
    pub next_send_at: OffsetDateTime,
    /// Class and text of the error, if it was one.
    pub error: Option<(&'a str, &'a str)>,
    /// The ledger's height, where the orderer refused the envelope for good.
    pub refused_at_height: Option<i64>,
}

/// Stores an attempt, moves its commands to SUBMITTED and ends their try, in one
/// transaction. From here on no lease matters: whatever happens, the envelope is sent until
/// the chain has its id.
///
/// # Errors
/// The database's. `Ok(Err(_))` says why nothing was stored.
pub async fn store_attempt(
    conn: &mut PgConnection,
    lease: &Lease,
    tried: &mut Try,
    new: NewAttempt<'_>,
    now: OffsetDateTime,
    next_send_at: OffsetDateTime,
) -> Result<Result<(), StoreRefusal>, sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    look::follow_indexes(&mut tx).await?;
    // One at a time: two submitters must not both find that nothing overlaps.
    attempts::serialise_stores(&mut tx).await?;
    let left = tried.without(new.command_ids);
    let tokens = lease.tokens_of(&tried.lanes);
    let held = lanes::lock(&mut tx, &tried.lanes, &tokens).await? == tried.lanes.len();
    let refusal = if !held || !tried.end_in(&mut tx, &left).await? {
        Some(StoreRefusal::LeaseLost)
    } else if attempts::overlaps_open(&mut tx, new.touches).await? {
        Some(StoreRefusal::Overlap)
    } else {
        attempts::insert(&mut tx, &new, now, next_send_at).await?;
        let moved = commands::submit(&mut tx, new.command_ids, new.tx_id, now).await?;
        (moved != new.command_ids.len()).then_some(StoreRefusal::CommandsChanged)
    };
    if let Some(refusal) = refusal {
        tx.rollback().await?;
        return Ok(Err(refusal));
    }
    tx.commit().await?;
    tried.ended(left);
    Ok(Ok(()))
}

/// Takes open attempts that are due to be sent again, and puts them off until `until`, so
/// that no other submitter takes them too.
///
/// # Errors
/// The database's.
pub async fn take_due(
    conn: &mut PgConnection,
    limit: i64,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Vec<OpenAttempt>, sqlx::Error> {
    let rows = attempts::take_due(conn, limit, now, until).await?;
    Ok(rows
        .into_iter()
        .map(|row| OpenAttempt {
            tx_id: row.tx_id,
            envelope: row.envelope,
            sends: u32::try_from(row.sends).unwrap_or(u32::MAX),
            refused_at_height: row.refused_at_height,
        })
        .collect())
}

/// Makes every open attempt due now.
///
/// # Errors
/// The database's.
pub async fn hasten_open(conn: &mut PgConnection, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    attempts::hasten_open(conn, now).await
}

/// Records what came of sending an envelope. It decides only when that is sent again.
///
/// # Errors
/// The database's.
pub async fn replied(
    conn: &mut PgConnection,
    tx_id: &str,
    reply: Reply<'_>,
) -> Result<(), sqlx::Error> {
    let (class, detail) = reply.error.unzip();
    let detail = detail.map(storable);
    let at = reply.refused_at_height;
    attempts::replied(conn, tx_id, reply.next_send_at, class, detail.as_deref(), at).await
}

/// Gives up an envelope that the orderer refuses for good and that no block carries; its
/// commands are PENDING again, under a new envelope to come. `false` where the attempt was
/// settled meanwhile.
///
/// # Errors
/// The database's.
pub async fn abandon(
    conn: &mut PgConnection,
    tx_id: &str,
    why: &str,
    policy: &RetryPolicy,
    rng: &mut impl rand::Rng,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    // Commands before their attempt, as settlement locks them.
    let carried = commands::submitted_in(&mut tx, &[tx_id]).await?;
    let ids: Vec<String> = carried.into_iter().map(|(_, command_id)| command_id).collect();
    if attempts::settle(&mut tx, tx_id, "ABANDONED", None, None, Some(&storable(why)), now).await?
        == 0
    {
        tx.rollback().await?;
        return Ok(false);
    }
    let fate = Fate { class: FailureClass::Unknown, message: why, from_status: "SUBMITTED" };
    crate::failure::put_back(&mut tx, &ids, fate, policy, rng, now).await?;
    tx.commit().await?;
    Ok(true)
}
