//! Tries: each is counted in the database before it is made. Called by the submitter for each
//! batch.
//!
//! A row of `OutboxTry` has the commands that are being tried. The transaction that records the end
//! of the try deletes the row, so a normal try writes nothing else to its commands. A row that is
//! still there when its lanes are leased again belongs to a try that was interrupted. A process
//! that keeps running withdraws its own tries after the database failed.

use gx_db::{PgConnection, StoredCommandId};
use gx_model::CommandStatus;
use rand::Rng;
use time::OffsetDateTime;

use super::batch::Batch;
use super::lease::Lease;
use super::store::tries;
use crate::failure::{DbErrorCause, FailureClass, RetryPolicy, storable};
use crate::logged_ids::logged_ids;
use crate::requeue::{Blame, FailedTry, requeue_failed};
use crate::store::commands;

/// A try in progress, with the commands whose end is not recorded yet.
#[derive(Debug)]
pub struct Try {
    number: i64,
    pub(crate) lanes: Vec<i16>,
    remaining: Vec<StoredCommandId>,
}

/// Counts a try of a batch and returns it. Call this before the batch is endorsed.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn start_try(
    conn: &mut PgConnection,
    batch: &Batch,
    now: OffsetDateTime,
) -> Result<Try, sqlx::Error> {
    let (lanes, remaining) = (batch.lanes(), batch.ids());
    let number = tries::insert(conn, &lanes, &remaining, now).await?;
    Ok(Try { number, lanes, remaining })
}

/// Ends the try of some commands without a charge, because it was not made or the ledger was not
/// reached. If `why` is given, it becomes the last error of the commands.
///
/// # Errors
/// `sqlx::Error` if a statement fails; nothing is written then.
pub async fn withdraw_try(
    conn: &mut PgConnection,
    tried: &mut Try,
    ids: &[StoredCommandId],
    why: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    let remaining = tried.without(ids);
    // If the row of the try is gone, a submitter has leased its lanes and charged it.
    if tried.end_in(&mut tx, &remaining).await?
        && let Some(why) = why
    {
        commands::note(&mut tx, ids, &storable(why), now).await?;
    }
    tx.commit().await?;
    tried.ended(remaining);
    Ok(())
}

/// The failure that ends a try.
#[derive(Clone, Copy, Debug)]
pub struct TryFailure<'a> {
    /// Failure class.
    pub class: FailureClass,
    /// The error's text.
    pub message: &'a str,
    /// Which command is to blame.
    pub blame: Blame,
}

/// Ends the try of some commands as failed. The blame decides whether they are delayed, tried in
/// halves or charged.
///
/// # Errors
/// `sqlx::Error` if a statement fails; nothing is written then.
pub async fn fail_try(
    conn: &mut PgConnection,
    tried: &mut Try,
    ids: &[StoredCommandId],
    failure: TryFailure<'_>,
    policy: &RetryPolicy,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    let remaining = tried.without(ids);
    if tried.end_in(&mut tx, &remaining).await? {
        let TryFailure { class, message, blame } = failure;
        let failed = FailedTry { class, message, from_status: CommandStatus::Pending, blame };
        requeue_failed(&mut tx, ids, failed, policy, rng, now).await?;
    }
    tx.commit().await?;
    tried.ended(remaining);
    Ok(())
}

/// Ends tries of this process without a charge, after the database failed to record their end. The
/// next claim calls it.
///
/// # Errors
/// `sqlx::Error` if a statement fails; a later claim withdraws them.
pub async fn withdraw_tries(conn: &mut PgConnection, numbers: &[i64]) -> Result<(), sqlx::Error> {
    tries::delete_all(conn, numbers).await
}

/// Ends the tries that earlier holders of these lanes left open, and returns their commands.
///
/// A command that was tried alone is charged, because it may have stopped the process. Several are
/// tried in two halves next. Call this in the transaction that leases the lanes.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn charge_interrupted(
    conn: &mut PgConnection,
    lease: &Lease,
    policy: &RetryPolicy,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<Vec<StoredCommandId>, sqlx::Error> {
    let mut charged = Vec::new();
    for ids in tries::take(conn, &lease.lanes).await? {
        let failed = FailedTry {
            class: FailureClass::Interrupted,
            message: "the submitter stopped while it was sending this command",
            from_status: CommandStatus::Pending,
            blame: if ids.len() == 1 { Blame::Command } else { Blame::Nobody },
        };
        let mut savepoint = sqlx::Connection::begin(&mut *conn).await?;
        match requeue_failed(&mut savepoint, &ids, failed, policy, rng, now).await {
            Ok(_) => savepoint.commit().await?,
            // One row that cannot be written must not keep all lanes from being leased.
            Err(error) if DbErrorCause::of(&error) == DbErrorCause::Data => {
                tracing::error!(commands = ids.len(), command_ids = ?logged_ids(&ids), error = %error,
                    "the interrupted tries of {} commands cannot be charged; remove the cause that \
                     `error` names",
                    ids.len());
                savepoint.rollback().await?;
            }
            Err(error) => return Err(error),
        }
        charged.extend(ids);
    }
    Ok(charged)
}

impl Try {
    /// Returns the number of the try, by which its process can withdraw it later.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Returns whether the end of every command is recorded.
    pub fn is_over(&self) -> bool {
        self.remaining.is_empty()
    }

    /// Locks the row of the try, and so waits for any transaction that is changing it.
    pub(crate) async fn lock(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        tries::lock(conn, self.number).await
    }

    /// Returns the commands that remain after these have ended.
    pub(crate) fn without(&self, ids: &[StoredCommandId]) -> Vec<StoredCommandId> {
        let ended: std::collections::HashSet<&StoredCommandId> = ids.iter().collect();
        self.remaining.iter().filter(|id| !ended.contains(id)).cloned().collect()
    }

    /// Writes the commands that remain. Returns `false` if another process has leased the lanes and
    /// ended the try; then nothing may be stored for it.
    pub(crate) async fn end_in(
        &self,
        conn: &mut PgConnection,
        remaining: &[StoredCommandId],
    ) -> Result<bool, sqlx::Error> {
        match remaining {
            [] => tries::delete(conn, self.number).await,
            _ => tries::keep(conn, self.number, remaining).await,
        }
    }

    /// Takes over what [`Try::end_in`] wrote, after its transaction has committed.
    pub(crate) fn ended(&mut self, remaining: Vec<StoredCommandId>) {
        self.remaining = remaining;
    }
}
