//! Settlement: what blocks say of commands, written in the transaction that applies them.

use std::collections::{BTreeMap, HashSet};

use gx_db::PgConnection;
use gx_model::{CommandId, EntryOutcome, Prerequisite};
use rand::Rng;
use serde_json::Value;
use time::OffsetDateTime;

use crate::failure::{Fate, put_back, storable_json};
use crate::retry::{FailureClass, RetryPolicy};
use crate::store::{commands, look, settlement};
use crate::verification::verified_kinds;

/// What a row of blocks says of commands, in the order of the chain.
#[derive(Debug, Default)]
pub struct Verdicts<'a> {
    /// What became of each command.
    pub entries: Vec<Verdict<'a>>,
    /// How each envelope was judged.
    pub envelopes: Vec<Judged<'a>>,
}

/// What became of one command.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<'a> {
    /// Which.
    pub command_id: CommandId,
    /// How it ended in this transaction.
    pub outcome: &'a EntryOutcome,
    /// The transaction.
    pub tx_id: &'a str,
    /// Its block.
    pub block_number: i64,
}

/// How an envelope was judged.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Its transaction.
    pub tx_id: &'a str,
    /// Its block.
    pub block_number: i64,
    /// Why it is not valid.
    pub invalid: Option<Invalid<'a>>,
}

/// Why a transaction is not valid.
#[derive(Clone, Copy, Debug)]
pub struct Invalid<'a> {
    /// The ledger's code.
    pub code: &'a str,
    /// A read conflict, which a new proposal cures, unlike every other code.
    pub is_conflict: bool,
}

/// What a settlement did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Commands that ended, or wait now.
    pub moved: u32,
    /// Kinds of those that were refused.
    pub refused: Vec<String>,
    /// Each CREATE_USER that ended without a user: its successors were refused with the same
    /// reason, and the account must go back to review.
    pub users_not_created: Vec<UserNotCreated>,
}

/// A CREATE_USER that ended without a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserNotCreated {
    /// The command.
    pub command_id: String,
    /// Whose account.
    pub profile_id: Option<String>,
}

/// Settles commands by what their entries say, whether or not the attempt is known here, and
/// then the attempts. A final state never changes. Commands of a judged envelope that no
/// entry named are put back: asking again is harmless, silence is not.
///
/// # Errors
/// The database's.
pub async fn settle(
    conn: &mut PgConnection,
    verdicts: &Verdicts<'_>,
    policy: &RetryPolicy,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<Settled, sqlx::Error> {
    look::follow_indexes(conn).await?;
    let mut settled = Settled::default();
    let mut group = Group::default();
    for verdict in &verdicts.entries {
        if !group.takes(verdict) {
            std::mem::take(&mut group).write(conn, &mut settled, now).await?;
        }
        group.add(verdict);
    }
    group.write(conn, &mut settled, now).await?;
    settle_envelopes(conn, &verdicts.envelopes, policy, rng, now).await?;
    Ok(settled)
}

/// Verdicts that may be written together: final ones or deferrals, each command once.
#[derive(Default)]
struct Group<'a> {
    commands: HashSet<CommandId>,
    ended: Vec<settlement::Ended<'a>>,
    deferred: Vec<settlement::Deferred<'a>>,
}

/// A verdict in the end, and the transaction in which it fell.
fn first<'a>(verdict: &Verdict<'a>) -> (&'a EntryOutcome, &'a str) {
    let (mut outcome, mut decided_in) = (verdict.outcome, verdict.tx_id);
    while let EntryOutcome::Replay { tx_id, first } = outcome {
        (outcome, decided_in) = (first, tx_id);
    }
    (outcome, decided_in)
}

fn waits_for(outcome: &EntryOutcome) -> Option<&Prerequisite> {
    match outcome {
        EntryOutcome::Deferred { prerequisite } => Some(prerequisite),
        _ => None,
    }
}

impl<'a> Group<'a> {
    fn takes(&self, verdict: &Verdict<'a>) -> bool {
        let other_kind_is_empty = match waits_for(first(verdict).0) {
            Some(_) => self.ended.is_empty(),
            None => self.deferred.is_empty(),
        };
        other_kind_is_empty && !self.commands.contains(&verdict.command_id)
    }

    fn add(&mut self, verdict: &Verdict<'a>) {
        self.commands.insert(verdict.command_id);
        let (outcome, decided_in) = first(verdict);
        let command_id = verdict.command_id.to_string();
        let status = match outcome {
            EntryOutcome::Deferred { prerequisite } => {
                let prerequisite = to_json(prerequisite);
                let tx_id = verdict.tx_id;
                self.deferred.push(settlement::Deferred { command_id, prerequisite, tx_id });
                return;
            }
            EntryOutcome::Applied {} => "COMMITTED",
            EntryOutcome::Cancelled {} => "DISCARDED",
            EntryOutcome::Refused { .. }
            | EntryOutcome::Mismatch { .. }
            | EntryOutcome::Replay { .. } => "REFUSED",
        };
        self.ended.push(settlement::Ended {
            command_id,
            status,
            decided_in,
            outcome: storable_json(to_json(outcome)),
            block_number: verdict.block_number,
        });
    }

    async fn write(
        self,
        conn: &mut PgConnection,
        settled: &mut Settled,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        if !self.deferred.is_empty() {
            // A missing prerequisite costs no attempt: nobody did anything wrong.
            settled.add(settlement::block(conn, &self.deferred, now).await?);
        }
        if self.ended.is_empty() {
            return Ok(());
        }
        let mut freed: BTreeMap<String, i64> = BTreeMap::new();
        for row in settlement::settle(conn, &self.ended, &verified_kinds(), now).await? {
            settled.add(1);
            if row.status == "REFUSED" {
                settled.refused.push(row.kind.clone());
            }
            // A dead one ends here only by a cancellation, and its id is fenced for good.
            if row.kind == "CREATE_USER" && row.status != "COMMITTED" {
                refuse_successors(conn, &row, now).await?;
                let settlement::SettledRow { command_id, profile_id, .. } = row;
                settled.users_not_created.push(UserNotCreated { command_id, profile_id });
            } else {
                let number = freed.entry(row.aggregate_key).or_insert(row.number);
                *number = row.number.min(*number);
            }
        }
        if !freed.is_empty() {
            let freed: Vec<(String, i64)> = freed.into_iter().collect();
            commands::release_held(conn, &freed, now).await?;
        }
        Ok(())
    }
}

impl Settled {
    fn add(&mut self, moved: u64) {
        let moved = u32::try_from(moved).unwrap_or(u32::MAX);
        self.moved = self.moved.saturating_add(moved);
    }
}

fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("outcomes and prerequisites have text keys")
}

async fn refuse_successors(
    conn: &mut PgConnection,
    row: &settlement::SettledRow,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let reason = serde_json::json!({
        "status": "REFUSED",
        "because": { "commandId": row.command_id, "outcome": row.outcome },
    });
    settlement::refuse_successors(conn, &row.aggregate_key, row.number, &reason, now).await?;
    Ok(())
}

/// Ends attempts, and puts back what they carried and nothing was said of.
async fn settle_envelopes(
    conn: &mut PgConnection,
    envelopes: &[Judged<'_>],
    policy: &RetryPolicy,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if envelopes.is_empty() {
        return Ok(());
    }
    settlement::settle_attempts(conn, envelopes, now).await?;
    let tx_ids: Vec<&str> = envelopes.iter().map(|one| one.tx_id).collect();
    let mut unnamed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tx_id, command_id) in commands::submitted_in(conn, &tx_ids).await? {
        unnamed.entry(tx_id).or_default().push(command_id);
    }
    for Judged { tx_id, block_number, invalid } in envelopes {
        let Some(ids) = unnamed.get(*tx_id) else { continue };
        let (class, message) = match invalid {
            None => {
                let message =
                    format!("transaction {tx_id} is valid but says nothing of this command");
                (FailureClass::Invalid, message)
            }
            Some(Invalid { code, is_conflict }) => {
                let class =
                    if *is_conflict { FailureClass::Conflict } else { FailureClass::Invalid };
                (class, format!("{code} in block {block_number} (transaction {tx_id})"))
            }
        };
        let fate = Fate { class, message: &message, from_status: "SUBMITTED" };
        put_back(conn, ids, fate, policy, rng, now).await?;
    }
    Ok(())
}

/// Releases the commands that wait for any of these prerequisites, and what is held behind
/// them.
///
/// # Errors
/// The database's.
pub async fn prerequisites_arrived(
    conn: &mut PgConnection,
    prerequisites: &[Prerequisite],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let json: Vec<_> = prerequisites
        .iter()
        .map(|one| serde_json::to_value(one).expect("prerequisites have text keys"))
        .collect();
    if settlement::unblock(conn, &json, now).await? > 0 {
        commands::release_all_held(conn, now).await?;
    }
    Ok(())
}
