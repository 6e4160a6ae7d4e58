//! Attempts: signed envelopes. The submitter stores each before it sends it for the first time, and
//! sends the same bytes again until a block has the transaction id.

mod store;

use std::collections::{HashMap, HashSet};

use gx_db::{PgConnection, StoredCommandId, TxId};
use gx_model::{CommandStatus, SignerRole};
use time::OffsetDateTime;

use super::lease::Lease;
use super::purpose::Purpose;
use super::store::lanes;
use super::tries::Try;
use crate::failure::{FailureClass, RetryPolicy, storable};
use crate::requeue::{Blame, FailedTry, requeue_failed};
use crate::store::commands;

/// An endorsed and signed envelope that is about to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewAttempt<'a> {
    /// The ledger's transaction id.
    pub tx_id: &'a TxId,
    /// Whether the envelope executes or cancels its commands.
    pub purpose: Purpose,
    /// The role whose key signed it.
    pub signer: SignerRole,
    /// Hash of block 0 of the chain for which the envelope was signed.
    pub genesis_hash: &'a [u8],
    /// The signed envelope, as it is sent.
    pub envelope: &'a [u8],
    /// The ids of its commands, in order.
    pub command_ids: &'a [StoredCommandId],
    /// For each command, the number of the previous command of the same aggregate in this envelope,
    /// or 0. No command of the aggregate between the two may be unsettled. [`super::Batch::after`]
    /// returns the numbers.
    pub after: &'a [i64],
    /// The ledger keys that its commands may write.
    pub touches: &'a [String],
}

/// An open attempt that is to be sent again.
#[derive(Clone, Debug)]
pub struct OpenAttempt {
    /// The ledger's transaction id.
    pub tx_id: TxId,
    /// The signed envelope, as it was stored.
    pub envelope: Vec<u8>,
    /// Number of sends, including the one that is about to happen.
    pub sends: u32,
    /// Height of the ledger when the orderer refused the envelope for good; `None` if it has not.
    pub refused_at_height: Option<i64>,
}

/// Why an attempt was not stored. Nothing was written, and the envelope must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreRefusal {
    /// Another submitter has leased one of its lanes.
    LeaseLost,
    /// Another open attempt touches the same ledger keys.
    Overlap,
    /// A command is no longer PENDING, or an unsettled command that is not in this envelope comes
    /// before it in its aggregate.
    CommandsChanged,
}

/// The result of sending an envelope.
#[derive(Clone, Debug)]
pub struct Reply<'a> {
    /// When to send the envelope again if no block has it by then.
    pub next_send_at: OffsetDateTime,
    /// Class and text of the error, if sending failed.
    pub error: Option<(&'a str, &'a str)>,
    /// The ledger's height when the orderer refused the envelope for good; `None` otherwise.
    pub refused_at_height: Option<i64>,
}

/// Stores an attempt, moves its commands to SUBMITTED and ends their try, in one transaction.
///
/// Once the attempt is stored, the lease no longer matters: the envelope is sent until the chain
/// has its transaction id. `Ok(Err(_))` says why nothing was stored.
///
/// # Errors
/// `sqlx::Error` if a statement fails. If the answer to COMMIT was lost, the attempt may be stored;
/// [`resolve_lost_commit`] finds out.
pub async fn store_attempt(
    conn: &mut PgConnection,
    lease: &Lease,
    tried: &mut Try,
    new: NewAttempt<'_>,
    now: OffsetDateTime,
    next_send_at: OffsetDateTime,
) -> Result<Result<(), StoreRefusal>, sqlx::Error> {
    let mut tx = commands::begin_with_index_lookups(conn).await?;
    // Only one submitter at a time may look for overlaps and insert, or two would both find none.
    store::serialise_stores(&mut tx).await?;
    let remaining = tried.without(new.command_ids);
    let tokens = lease.tokens_of(&tried.lanes);
    let held = lanes::lock(&mut tx, &tried.lanes, &tokens).await? == tried.lanes.len();
    let refusal = if !held || !tried.end_in(&mut tx, &remaining).await? {
        Some(StoreRefusal::LeaseLost)
    } else if store::overlaps_open(&mut tx, new.touches).await? {
        Some(StoreRefusal::Overlap)
    } else {
        store::insert(&mut tx, &new, now, next_send_at).await?;
        // A kept plan could take the index of what is pending for each command.
        commands::make_new_plans(&mut tx).await?;
        let (ids, after) = (new.command_ids, new.after);
        let moved = commands::submit(&mut tx, ids, after, new.tx_id, now).await?;
        (moved != ids.len()).then_some(StoreRefusal::CommandsChanged)
    };
    if let Some(refusal) = refusal {
        tx.rollback().await?;
        return Ok(Err(refusal));
    }
    tx.commit().await?;
    tried.ended(remaining);
    Ok(Ok(()))
}

/// Stores the envelope of a witness, which has no commands and is sent like any other.
///
/// # Errors
/// `sqlx::Error` if a statement fails; the envelope must not be sent then.
pub async fn store_witness(
    conn: &mut PgConnection,
    tx_id: &TxId,
    signer: SignerRole,
    genesis_hash: &[u8],
    envelope: &[u8],
    now: OffsetDateTime,
    next_send_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let new = NewAttempt {
        tx_id,
        purpose: Purpose::Execute,
        signer,
        genesis_hash,
        envelope,
        command_ids: &[],
        after: &[],
        touches: &[],
    };
    store::insert(conn, &new, now, next_send_at).await
}

/// What [`resolve_lost_commit`] found out about an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The envelope is stored and open, and must be sent.
    Stored,
    /// The envelope was not stored. The try of its commands is withdrawn.
    Withdrawn,
}

/// Finds out whether an envelope was stored when the answer to COMMIT was lost. If it was not, ends
/// the try of its commands without a charge.
///
/// Locking the try's row waits for a transaction that is still being committed.
///
/// # Errors
/// `sqlx::Error` if a statement fails; the try is unchanged then.
pub async fn resolve_lost_commit(
    conn: &mut PgConnection,
    tried: &mut Try,
    tx_id: &TxId,
    command_ids: &[StoredCommandId],
) -> Result<StoreOutcome, sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    tried.lock(&mut tx).await?;
    let remaining = tried.without(command_ids);
    let end = if store::exists(&mut tx, tx_id).await? {
        StoreOutcome::Stored
    } else {
        tried.end_in(&mut tx, &remaining).await?;
        StoreOutcome::Withdrawn
    };
    tx.commit().await?;
    tried.ended(remaining);
    Ok(end)
}

/// An attempt that has ended: a block has it, or it was abandoned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedAttempt {
    /// The ledger's transaction id.
    pub tx_id: TxId,
    /// Number of the block that has it, or of the last block that existed when it was abandoned.
    pub block: i64,
    /// The validation code; `None` if the attempt was abandoned.
    pub code: Option<String>,
    /// Whether the validation code is VALID.
    pub is_valid: bool,
    /// The role whose key signed it; `None` if an earlier release stored it.
    pub signer: Option<SignerRole>,
    /// The ids of its commands; empty if it is valid.
    pub commands: Vec<StoredCommandId>,
    /// When this database recorded the end of the attempt.
    pub settled_at: OffsetDateTime,
}

impl JudgedAttempt {
    /// Returns whether this role's key may have signed the envelope.
    pub fn is_by(&self, signer: SignerRole) -> bool {
        self.signer.is_none_or(|by| by == signer)
    }

    /// Returns whether the envelope failed and carries this command and no other.
    pub fn carries_only(&self, command_id: &StoredCommandId) -> bool {
        matches!(self.commands.as_slice(), [id] if id == command_id)
    }
}

/// Returns the attempts of the newest blocks, newest first and at most `limit`, and the number of
/// open attempts.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn judged_last(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<(Vec<JudgedAttempt>, i64), sqlx::Error> {
    store::judged_last(conn, limit).await
}

/// How a stored attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Not yet.
    Open,
    /// A block has it and it is valid.
    Valid,
    /// A block has it and it is invalid, or it was abandoned.
    Failed,
}

/// Returns how attempts ended. Those that were never stored, or were archived, are left out.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn attempt_ends(
    conn: &mut PgConnection,
    tx_ids: &[TxId],
) -> Result<HashMap<TxId, AttemptEnd>, sqlx::Error> {
    let rows = store::ends(conn, tx_ids).await?;
    let end = |is_valid: Option<bool>| match is_valid {
        None => AttemptEnd::Open,
        Some(true) => AttemptEnd::Valid,
        Some(false) => AttemptEnd::Failed,
    };
    Ok(rows.into_iter().map(|(tx_id, is_valid)| (tx_id, end(is_valid))).collect())
}

/// Takes the open attempts that are due to be sent again, and sets their next time to `until` so
/// that no other submitter takes them.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn take_due_attempts(
    conn: &mut PgConnection,
    limit: i64,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Vec<OpenAttempt>, sqlx::Error> {
    let rows = store::take_due(conn, limit, now, until).await?;
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

/// Makes every open attempt due now. The submitter calls it when it starts and after an outage.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn make_open_attempts_due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    store::make_open_attempts_due(conn, now).await
}

/// Records the result of sending an envelope. The result decides only when it is sent again.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn record_reply(
    conn: &mut PgConnection,
    tx_id: &TxId,
    reply: Reply<'_>,
) -> Result<(), sqlx::Error> {
    let (class, detail) = reply.error.unzip();
    let detail = detail.map(storable);
    let at = reply.refused_at_height;
    store::replied(conn, tx_id, reply.next_send_at, class, detail.as_deref(), at).await
}

/// Abandons an envelope that the orderer refuses for good and that no block below `height` has. Its
/// commands are PENDING again and get a new envelope. Returns `false` if the attempt was settled
/// before.
///
/// # Errors
/// `sqlx::Error` if a statement fails; nothing is written then.
pub async fn abandon_attempt(
    conn: &mut PgConnection,
    tx_id: &TxId,
    (why, height): (&str, i64),
    policy: &RetryPolicy,
    rng: &mut impl rand::Rng,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    // Locks commands before their attempt, in the same order as settlement does.
    let carried = commands::submitted_in(&mut tx, &[tx_id.as_str()]).await?;
    let is_single = carried.iter().all(|row| row.beside == 1);
    let ids: Vec<_> = carried.into_iter().map(|row| row.command_id).collect();
    if store::abandon(&mut tx, tx_id, &storable(why), now).await? == 0 {
        tx.rollback().await?;
        return Ok(false);
    }
    let block = Some(height.saturating_sub(1));
    let blame = if is_single { Blame::LoneCommand { block } } else { Blame::Nobody };
    let (class, from_status) = (FailureClass::Unknown, CommandStatus::Submitted);
    let failed = FailedTry { class, message: why, from_status, blame };
    requeue_failed(&mut tx, &ids, failed, policy, rng, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Returns the keys that open attempts touch. Commands that touch one of them must wait.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn open_touches(conn: &mut PgConnection) -> Result<HashSet<String>, sqlx::Error> {
    Ok(store::open_touches(conn).await?.into_iter().collect())
}

/// Returns when the next delayed command or open attempt becomes due, or `None` if none is delayed.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn next_due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    let command = commands::next_due(conn, now).await?;
    let attempt = store::next_due(conn, now).await?;
    Ok(command.into_iter().chain(attempt).min())
}

/// Returns the transaction ids of at most 10 open attempts that were signed for another chain. They
/// must not be sent to this one, and their commands may have taken effect there.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn foreign_attempts(
    conn: &mut PgConnection,
    genesis_hash: &[u8],
) -> Result<Vec<TxId>, sqlx::Error> {
    store::foreign(conn, genesis_hash).await
}
