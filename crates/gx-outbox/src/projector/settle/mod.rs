//! Settlement: applies what blocks say about commands. The projector calls [`settle`] in the
//! transaction that applies the blocks; an error rolls the blocks back, too, and they are applied
//! again.

mod store;

use std::collections::{BTreeMap, HashSet};

use gx_db::{PgConnection, ProfileId, StoredCommandId};
use gx_model::{CommandId, CommandStatus, EntryOutcome, Prerequisite, RejectionCode};
use rand::Rng;
use serde_json::Value;
use time::OffsetDateTime;

use super::verification::verified_kinds;
use crate::failure::{FailureClass, RetryPolicy, storable_json};
use crate::held::release_held;
use crate::requeue::{Blame, FailedTry, requeue_failed};
use crate::store::commands;

/// What consecutive blocks say about commands and envelopes, in the order of the chain.
#[derive(Debug, Default)]
pub struct BlockResults<'a> {
    /// The outcome of each command.
    pub entries: Vec<CommandResult<'a>>,
    /// The validation code of each envelope.
    pub envelopes: Vec<EnvelopeResult<'a>>,
    /// Commands whose id the ledger has with other content, and which created a person under that
    /// content. For these a mismatch counts as success, because the command took effect.
    pub took_effect: HashSet<CommandId>,
}

/// The outcome of one command in one transaction.
#[derive(Clone, Copy, Debug)]
pub struct CommandResult<'a> {
    /// The command id.
    pub command_id: CommandId,
    /// The outcome that the transaction's event names.
    pub outcome: &'a EntryOutcome,
    /// The transaction id.
    pub tx_id: &'a str,
    /// Number of its block.
    pub block_number: i64,
}

/// The validation of one envelope.
#[derive(Clone, Copy, Debug)]
pub struct EnvelopeResult<'a> {
    /// The transaction id.
    pub tx_id: &'a str,
    /// Number of its block.
    pub block_number: i64,
    /// Why the envelope is not valid; `None` if it is.
    pub invalid: Option<InvalidCode<'a>>,
}

/// The validation code of a transaction that is not valid.
#[derive(Clone, Copy, Debug)]
pub struct InvalidCode<'a> {
    /// Fabric's name of the code.
    pub code: &'a str,
    /// Whether the code is a read conflict. Only this one can be cured by a new proposal.
    pub is_conflict: bool,
}

/// Result of [`settle`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Number of commands that ended or became blocked.
    pub moved: u32,
    /// The kinds of the commands that were refused, one entry for each command.
    pub refused: Vec<String>,
    /// Each CREATE_USER that ended without creating a person. The commands behind it were refused
    /// for the same reason, and the account must go back to review.
    pub users_not_created: Vec<UserNotCreated>,
    /// Each CREATE_USER that took effect.
    pub users_created: Vec<UserCreated>,
    /// The accounts of people whose DISTRIBUTE_GENESIS was refused, unless they already had the
    /// grant.
    pub grants_refused: Vec<ProfileId>,
}

/// A CREATE_USER that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCreated {
    /// The command id.
    pub command_id: StoredCommandId,
    /// The account for which the person was created.
    pub profile_id: Option<ProfileId>,
    /// The Fabric User ID that the command asked for, which is also its aggregate key. The ledger
    /// has a different one if the command was sent before with other content.
    pub requested_id: String,
}

/// A CREATE_USER that ended without creating a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserNotCreated {
    /// The command id.
    pub command_id: StoredCommandId,
    /// The account that has no person now.
    pub profile_id: Option<ProfileId>,
}

/// Settles commands by their outcomes, whether or not this database has the attempt, and then the
/// attempts. A final status never changes.
///
/// If an envelope names no outcome for one of its commands, that command is PENDING again: sending
/// it again is harmless, and waiting for an answer would last for ever.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn settle(
    conn: &mut PgConnection,
    results: &BlockResults<'_>,
    policy: &RetryPolicy,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<Settled, sqlx::Error> {
    commands::use_index_lookups(conn).await?;
    let mut settled = Settled::default();
    let mut group = Group::default();
    for result in &results.entries {
        if !group.takes(result) {
            std::mem::take(&mut group).write(conn, &mut settled, now).await?;
        }
        group.add(result, &results.took_effect);
    }
    group.write(conn, &mut settled, now).await?;
    settle_envelopes(conn, &results.envelopes, policy, rng, now).await?;
    Ok(settled)
}

/// Results that one statement can write: either final ones or deferrals, each command once.
#[derive(Default)]
struct Group<'a> {
    commands: HashSet<CommandId>,
    ended: Vec<store::Ended<'a>>,
    deferred: Vec<store::Deferred<'a>>,
}

/// Returns the original outcome behind replays, and the transaction that decided it.
fn first<'a>(result: &CommandResult<'a>) -> (&'a EntryOutcome, &'a str) {
    let (mut outcome, mut decided_in) = (result.outcome, result.tx_id);
    while let EntryOutcome::Replay { tx_id, first } = outcome {
        (outcome, decided_in) = (first, tx_id);
    }
    (outcome, decided_in)
}

/// Returns the prerequisite of a deferred command, or `None` if the outcome is final.
fn waits_for(outcome: &EntryOutcome) -> Option<&Prerequisite> {
    match outcome {
        EntryOutcome::Deferred { prerequisite } => Some(prerequisite),
        _ => None,
    }
}

impl<'a> Group<'a> {
    /// Returns whether the result can be written together with those of this group.
    fn takes(&self, result: &CommandResult<'a>) -> bool {
        let other_kind_is_empty = match waits_for(first(result).0) {
            Some(_) => self.ended.is_empty(),
            None => self.deferred.is_empty(),
        };
        other_kind_is_empty && !self.commands.contains(&result.command_id)
    }

    fn add(&mut self, result: &CommandResult<'a>, took_effect: &HashSet<CommandId>) {
        self.commands.insert(result.command_id);
        let (outcome, decided_in) = first(result);
        let command_id = result.command_id.into();
        let status = match outcome {
            EntryOutcome::Deferred { prerequisite } => {
                let prerequisite = to_json(prerequisite);
                let tx_id = result.tx_id;
                self.deferred.push(store::Deferred { command_id, prerequisite, tx_id });
                return;
            }
            EntryOutcome::Applied {} => CommandStatus::Committed,
            EntryOutcome::Mismatch { .. } if took_effect.contains(&result.command_id) => {
                CommandStatus::Committed
            }
            EntryOutcome::Cancelled {} => CommandStatus::Discarded,
            EntryOutcome::Refused { .. }
            | EntryOutcome::Mismatch { .. }
            | EntryOutcome::Replay { .. } => CommandStatus::Refused,
        };
        self.ended.push(store::Ended {
            command_id,
            status,
            decided_in,
            outcome: storable_json(to_json(outcome)),
            block_number: result.block_number,
        });
    }

    async fn write(
        self,
        conn: &mut PgConnection,
        settled: &mut Settled,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        if !self.deferred.is_empty() {
            // A missing prerequisite is not the fault of the command, so the try is not counted.
            settled.add(store::block(conn, &self.deferred, now).await?);
        }
        if self.ended.is_empty() {
            return Ok(());
        }
        let mut freed: BTreeMap<String, i64> = BTreeMap::new();
        for row in store::settle(conn, &self.ended, &verified_kinds(), now).await? {
            settled.add(1);
            settled.note(&row);
            // A command that ends as DEAD here was cancelled, so its id can never take effect.
            if row.kind == "CREATE_USER" && row.status != CommandStatus::Committed {
                refuse_successors(conn, &row, now).await?;
                let store::SettledRow { command_id, profile_id, .. } = row;
                settled.users_not_created.push(UserNotCreated { command_id, profile_id });
            } else {
                let number = freed.entry(row.aggregate_key).or_insert(row.number);
                *number = row.number.min(*number);
            }
        }
        if !freed.is_empty() {
            let freed: Vec<(String, i64)> = freed.into_iter().collect();
            release_held(conn, &freed, now).await?;
        }
        Ok(())
    }
}

impl Settled {
    fn note(&mut self, row: &store::SettledRow) {
        if row.status == CommandStatus::Refused {
            self.refused.push(row.kind.clone());
        }
        match (row.kind.as_str(), row.status) {
            ("CREATE_USER", CommandStatus::Committed) => self.users_created.push(UserCreated {
                command_id: row.command_id.clone(),
                profile_id: row.profile_id.clone(),
                requested_id: row.aggregate_key.clone(),
            }),
            ("DISTRIBUTE_GENESIS", CommandStatus::Refused) => {
                let rejection = row.outcome.as_ref().and_then(|outcome| outcome.get("rejection"));
                let code = rejection.and_then(|rejection| rejection["code"].as_str());
                if code != Some(RejectionCode::GenesisDone.name()) {
                    self.grants_refused.extend(row.profile_id.clone());
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, moved: u64) {
        let moved = u32::try_from(moved).unwrap_or(u32::MAX);
        self.moved = self.moved.saturating_add(moved);
    }
}

fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("outcomes and prerequisites have text keys")
}

/// Refuses the commands behind a CREATE_USER that created nobody: they concern that person.
async fn refuse_successors(
    conn: &mut PgConnection,
    row: &store::SettledRow,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let reason = serde_json::json!({
        "status": "REFUSED",
        "because": { "commandId": row.command_id, "outcome": row.outcome },
    });
    store::refuse_successors(conn, &row.aggregate_key, row.number, &reason, now).await?;
    Ok(())
}

/// Stores in the outcome of a CREATE_USER that took effect which person the ledger has.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn note_created(
    conn: &mut PgConnection,
    command_id: &StoredCommandId,
    fabric_user_id: &str,
) -> Result<(), sqlx::Error> {
    store::note_created(conn, command_id, fabric_user_id).await
}

/// Ends attempts, and makes their commands without an outcome PENDING again.
///
/// Nothing is charged here. A failed envelope with several commands blames none of them, and one
/// with a single command blames it only if another envelope is valid afterwards.
async fn settle_envelopes(
    conn: &mut PgConnection,
    envelopes: &[EnvelopeResult<'_>],
    policy: &RetryPolicy,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if envelopes.is_empty() {
        return Ok(());
    }
    store::settle_attempts(conn, envelopes, now).await?;
    let tx_ids: Vec<&str> = envelopes.iter().map(|one| one.tx_id).collect();
    let mut unnamed: BTreeMap<String, Vec<commands::CarriedRow>> = BTreeMap::new();
    for row in commands::submitted_in(conn, &tx_ids).await? {
        unnamed.entry(row.tx_id.to_string()).or_default().push(row);
    }
    for EnvelopeResult { tx_id, block_number, invalid } in envelopes {
        let Some(rows) = unnamed.remove(*tx_id) else { continue };
        let (class, message) = match invalid {
            None => {
                let message =
                    format!("transaction {tx_id} is valid but names no outcome for this command");
                (FailureClass::Invalid, message)
            }
            Some(InvalidCode { code, is_conflict }) => {
                let class =
                    if *is_conflict { FailureClass::Conflict } else { FailureClass::Invalid };
                (class, format!("{code} in block {block_number} (transaction {tx_id})"))
            }
        };
        let is_single = rows.iter().all(|row| row.beside == 1);
        let block = Some(*block_number);
        let blame = if is_single { Blame::LoneCommand { block } } else { Blame::Nobody };
        let ids: Vec<_> = rows.into_iter().map(|row| row.command_id).collect();
        let from_status = CommandStatus::Submitted;
        let failed = FailedTry { class, message: &message, from_status, blame };
        requeue_failed(conn, &ids, failed, policy, rng, now).await?;
    }
    Ok(())
}

/// Releases the commands that are blocked by any of these prerequisites, and the commands that are
/// held behind them.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn prerequisites_arrived(
    conn: &mut PgConnection,
    prerequisites: &[Prerequisite],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let json: Vec<_> = prerequisites
        .iter()
        .map(|one| serde_json::to_value(one).expect("prerequisites have text keys"))
        .collect();
    let unblocked = store::unblock(conn, &json, now).await?;
    release_held(conn, &unblocked, now).await
}
