//! Failed tries: which command a failure is charged to, and what its commands do next. Called when
//! a try or an envelope has failed, by the submitter and by settlement, and when the submitter has
//! found out whose fault a failure was.

mod bisect;
mod suspicion;

use gx_db::{PgConnection, StoredCommandId};
use gx_model::CommandStatus;
use rand::Rng;
use serde_json::{Value, json};
use time::OffsetDateTime;

use self::bisect::bisect;
use self::suspicion::{Failures, Moment};
use crate::failure::{FailureClass, RetryPolicy, storable};
use crate::logged_ids::logged_ids;
use crate::store::commands;

pub use self::suspicion::LoneFailure;
pub(crate) use self::suspicion::Suspicion;

/// The name by which `giveUp` says that the submitter gave a command up.
const SUBMITTER: &str = "submitter";

/// The failure that ended a try, as it is applied to each of its commands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedTry<'a> {
    /// Failure class.
    pub class: FailureClass,
    /// The error's text. It may have any length and contain any characters.
    pub message: &'a str,
    /// The status of the commands: PENDING if no envelope was stored, SUBMITTED otherwise.
    pub from_status: CommandStatus,
    /// Which command is to blame.
    pub blame: Blame,
}

/// Which command a failure is charged to, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// No command, because several failed together. Next they are tried in two halves.
    Nobody,
    /// The only command that was tried, if another envelope succeeds afterwards. [`charge`] charges
    /// it then.
    LoneCommand {
        /// Number of the block that has its envelope, or of the last block when the orderer refused
        /// it; `None` if no envelope was stored.
        block: Option<i64>,
    },
    /// The command, at once: the failure was certainly its own.
    Command,
}

/// Result of [`charge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeResult {
    /// The command is not PENDING any more, or has no uncharged failure.
    NotPending,
    /// The failure was charged, and the command is tried again.
    Retried,
    /// The failure was charged and the budget is spent: the command is given up.
    GivenUp,
}

/// Makes failed commands PENDING again, with a delay if they failed alone, and returns the ids that
/// are given up.
///
/// A command that is charged and whose budget is spent is given up. If it was never sent, it
/// becomes DEAD at once; otherwise it stays PENDING and is cancelled on the ledger first.
///
/// If the failed envelope was to cancel a command that the submitter gave up, that decision is
/// undone: as long as the ledger has not cancelled the command, it can be executed.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub(crate) async fn requeue_failed(
    conn: &mut PgConnection,
    ids: &[StoredCommandId],
    failed: FailedTry<'_>,
    policy: &RetryPolicy,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<Vec<StoredCommandId>, sqlx::Error> {
    let message = storable(failed.message);
    let rows = commands::failing(conn, ids, failed.from_status).await?;
    let tags = match failed.blame {
        Blame::Nobody => bisect(&rows),
        Blame::LoneCommand { .. } | Blame::Command => vec![None; rows.len()],
    };
    let mut given_up = Vec::new();
    let mut changes = Vec::with_capacity(rows.len());
    for (row, tag) in rows.into_iter().zip(tags) {
        let mut command = FailedCommand::new(row, failed.from_status);
        let in_vain = command.is_cancelled_in_vain(failed.from_status);
        if in_vain {
            command.undo_give_up(policy);
        }
        match failed.blame {
            Blame::Nobody => {
                command.change.together = tag;
                command.suspicion.times = 0;
            }
            Blame::LoneCommand { block } => {
                let alone = LoneFailure { class: failed.class, message: message.clone(), block };
                // A failed cancellation says nothing about executing the command.
                command.suspect((!in_vain).then_some(alone));
                command.delay(failed.class, policy, rng, now);
            }
            Blame::Command => {
                let charged = command.charge(failed.class, &message, None, policy, now);
                if charged == ChargeResult::GivenUp {
                    given_up.push(command.change.command_id.clone());
                } else {
                    command.delay(failed.class, policy, rng, now);
                }
            }
        }
        changes.push(command.into_change());
    }
    let from = failed.from_status;
    let tries = i32::from(from == CommandStatus::Pending && failed.blame != Blame::Nobody);
    commands::requeue_failed(conn, &changes, from, Some(&message), tries, now).await?;
    report(&given_up, failed.class, &message);
    Ok(given_up)
}

/// Charges a pending command with the failure that it met alone, because another envelope has
/// succeeded since. `proven_at` is the number of the newest block with a valid envelope.
///
/// # Errors
/// `sqlx::Error` if a statement fails; nothing is charged then.
pub async fn charge(
    conn: &mut PgConnection,
    command_id: &StoredCommandId,
    proven_at: Option<i64>,
    policy: &RetryPolicy,
    now: OffsetDateTime,
) -> Result<ChargeResult, sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    let ids = [command_id.clone()];
    let Some(row) = commands::failing(&mut tx, &ids, CommandStatus::Pending).await?.pop() else {
        return Ok(ChargeResult::NotPending);
    };
    let mut command = FailedCommand::new(row, CommandStatus::Pending);
    let Some(LoneFailure { class, message, .. }) = command.suspicion.alone.take() else {
        return Ok(ChargeResult::NotPending);
    };
    command.suspicion.times = 0;
    let charged = command.charge(class, &message, proven_at, policy, now);
    let (changes, from) = ([command.into_change()], CommandStatus::Pending);
    commands::requeue_failed(&mut tx, &changes, from, None, 0, now).await?;
    tx.commit().await?;
    if charged == ChargeResult::GivenUp {
        report(&ids, class, &message);
    }
    Ok(charged)
}

/// Undoes the submitter's decision to give up a pending command, which is then executed; after one
/// more failure of its own it is given up again. Returns `false` if the submitter made no such
/// decision. An operator's decision is never undone.
///
/// # Errors
/// `sqlx::Error` if a statement fails; nothing is changed then.
pub async fn undo_give_up(
    conn: &mut PgConnection,
    command_id: &StoredCommandId,
    policy: &RetryPolicy,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    let ids = [command_id.clone()];
    let Some(row) = commands::failing(&mut tx, &ids, CommandStatus::Pending).await?.pop() else {
        return Ok(false);
    };
    let mut command = FailedCommand::new(row, CommandStatus::Pending);
    if !is_the_submitters(command.change.give_up.as_ref()) {
        return Ok(false);
    }
    command.undo_give_up(policy);
    let (changes, from) = ([command.into_change()], CommandStatus::Pending);
    commands::requeue_failed(&mut tx, &changes, from, None, 0, now).await?;
    tx.commit().await?;
    tracing::info!(
        command_id = command_id.as_str(),
        "command {command_id} was given up and is tried again"
    );
    Ok(true)
}

/// Returns whether `giveUp` holds a decision of the submitter.
pub(crate) fn is_the_submitters(give_up: Option<&Value>) -> bool {
    give_up.is_some_and(|give_up| give_up["to"] == "DEAD" && give_up["by"] == SUBMITTER)
}

fn report(given_up: &[StoredCommandId], class: FailureClass, error: &str) {
    if !given_up.is_empty() {
        tracing::error!(commands = given_up.len(), command_ids = ?logged_ids(given_up),
            failure_class = class.name(), error,
            "{} commands are given up; retry or discard them", given_up.len());
    }
}

/// A failed command and the changes that are to be written to its row.
struct FailedCommand {
    change: commands::Change,
    failures: Failures,
    suspicion: Suspicion,
    was_sent: bool,
}

impl FailedCommand {
    fn new(row: commands::FailingRow, from_status: CommandStatus) -> Self {
        let (failures, mut suspicion) =
            (Failures::new(row.failures), Suspicion::read(row.suspicion));
        if from_status == CommandStatus::Submitted {
            // Failures from before this envelope no longer matter.
            suspicion.alone = None;
        }
        let change = commands::Change {
            command_id: row.command_id,
            status: CommandStatus::Pending,
            failures: Value::Null,
            suspicion: None,
            together: if from_status == CommandStatus::Pending { row.together } else { None },
            give_up: row.give_up,
            next_attempt_at: row.next_attempt_at,
        };
        Self { change, failures, suspicion, was_sent: row.was_sent }
    }

    /// Returns whether the failed envelope was to cancel the command because the submitter gave it
    /// up.
    fn is_cancelled_in_vain(&self, from_status: CommandStatus) -> bool {
        from_status == CommandStatus::Submitted && is_the_submitters(self.change.give_up.as_ref())
    }

    fn undo_give_up(&mut self, policy: &RetryPolicy) {
        self.change.give_up = None;
        self.failures.leave_one_failure(policy);
        self.suspicion.alone = None;
    }

    /// Records a failure that the command met alone; `None` records no failure. Next time the
    /// command is tried alone, too.
    fn suspect(&mut self, alone: Option<LoneFailure>) {
        self.suspicion.alone = alone;
        self.suspicion.times = self.suspicion.times.saturating_add(1);
        self.change.together = Some(self.change.command_id.to_string());
    }

    fn delay(
        &mut self,
        class: FailureClass,
        policy: &RetryPolicy,
        rng: &mut impl Rng,
        now: OffsetDateTime,
    ) {
        let (charged, in_a_row) = (self.failures.of(class), self.suspicion.times);
        self.change.next_attempt_at = now + policy.delay(class, charged, in_a_row, rng);
    }

    /// Charges a failure. A command that is already being given up is not given up again.
    fn charge(
        &mut self,
        class: FailureClass,
        message: &str,
        proven_at: Option<i64>,
        policy: &RetryPolicy,
        now: OffsetDateTime,
    ) -> ChargeResult {
        let charged = self.failures.charge(class);
        let first_at = self.suspicion.since.entry(class).or_insert(Moment(now)).0;
        if self.change.give_up.is_some() || !policy.is_spent(class, charged, first_at, now) {
            return ChargeResult::Retried;
        }
        if self.was_sent {
            self.change.give_up = Some(json!({
                "to": "DEAD", "reason": message, "by": SUBMITTER, "block": proven_at,
            }));
        } else {
            self.change.status = CommandStatus::Dead;
        }
        self.change.next_attempt_at = now;
        ChargeResult::GivenUp
    }

    fn into_change(self) -> commands::Change {
        commands::Change {
            failures: self.failures.into_json(),
            suspicion: self.suspicion.to_json(),
            ..self.change
        }
    }
}
