//! Settlement: what a block says of commands, written in the transaction that applies it.

use gx_db::PgConnection;
use gx_model::{BatchEntry, CommandId, EntryOutcome, Prerequisite};
use rand::Rng;
use time::OffsetDateTime;

use crate::failure::{Fate, put_back, storable_json};
use crate::retry::{FailureClass, RetryPolicy};
use crate::store::{attempts, commands, settlement};
use crate::verification::verified_kinds;

/// Where a settlement comes from.
#[derive(Clone, Copy, Debug)]
pub struct Settlement<'a> {
    /// The transaction that carries the entry.
    pub tx_id: &'a str,
    /// Its block.
    pub block_number: i64,
    /// When the settlement is written.
    pub now: OffsetDateTime,
}

/// What an entry did to its command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// No such command here, or it was settled before.
    Nothing,
    /// It ended well or waits; its followers were released where it ended.
    Moved {
        /// The status it has now.
        status: &'static str,
    },
    /// A CREATE_USER ended without a user: its successors were refused with the same reason
    /// and the account must go back to review.
    UserNotCreated {
        /// Whose account.
        profile_id: Option<String>,
    },
}

/// Settles one command by what its entry says, whether or not the attempt is known here.
/// A final state never changes.
///
/// # Errors
/// The database's.
pub async fn settle_entry(
    conn: &mut PgConnection,
    entry: &BatchEntry,
    from: Settlement<'_>,
) -> Result<Settled, sqlx::Error> {
    settle(conn, entry.command_id, &entry.outcome, from.tx_id, from).await
}

async fn settle(
    conn: &mut PgConnection,
    command_id: CommandId,
    outcome: &EntryOutcome,
    decided_in: &str,
    from: Settlement<'_>,
) -> Result<Settled, sqlx::Error> {
    let status = match outcome {
        EntryOutcome::Replay { tx_id, first } => {
            return Box::pin(settle(conn, command_id, first, tx_id, from)).await;
        }
        EntryOutcome::Deferred { prerequisite } => {
            return block(conn, command_id, prerequisite, from).await;
        }
        EntryOutcome::Applied {} => "COMMITTED",
        EntryOutcome::Refused { .. } | EntryOutcome::Mismatch { .. } => "REFUSED",
        EntryOutcome::Cancelled {} => "DISCARDED",
    };
    let outcome = storable_json(serde_json::to_value(outcome).expect("outcomes have text keys"));
    let id = command_id.to_string();
    let looked_for = verified_kinds();
    let settled =
        settlement::settle(conn, &id, status, decided_in, &outcome, &looked_for, &from).await?;
    let Some(row) = settled else {
        return Ok(Settled::Nothing);
    };
    // A dead one ends here only by a cancellation, and its id is fenced for good.
    if row.kind == "CREATE_USER" && row.status != "COMMITTED" {
        let reason = serde_json::json!({
            "status": "REFUSED", "because": { "commandId": id, "outcome": outcome },
        });
        settlement::refuse_successors(conn, &row.aggregate_key, row.number, &reason, from.now)
            .await?;
        return Ok(Settled::UserNotCreated { profile_id: row.profile_id });
    }
    commands::release_held(conn, &row.aggregate_key, from.now).await?;
    let waits_for_a_look = row.status == "SUBMITTED";
    Ok(Settled::Moved { status: if waits_for_a_look { "SUBMITTED" } else { status } })
}

/// A missing prerequisite costs no attempt: nobody did anything wrong.
async fn block(
    conn: &mut PgConnection,
    command_id: CommandId,
    prerequisite: &Prerequisite,
    from: Settlement<'_>,
) -> Result<Settled, sqlx::Error> {
    let json = serde_json::to_value(prerequisite).expect("prerequisites have text keys");
    let id = command_id.to_string();
    Ok(match settlement::block(conn, &id, &json, from.tx_id, from.now).await? {
        None => Settled::Nothing,
        Some(waits) => Settled::Moved { status: if waits { "BLOCKED" } else { "PENDING" } },
    })
}

/// Marks an attempt valid. Commands of it that its event did not name are put back: asking
/// again is harmless, silence is not.
///
/// # Errors
/// The database's.
pub async fn settle_attempt_valid(
    conn: &mut PgConnection,
    from: Settlement<'_>,
    policy: &RetryPolicy,
    rng: &mut impl Rng,
) -> Result<(), sqlx::Error> {
    let block = Some(from.block_number);
    attempts::settle(conn, from.tx_id, "VALID", Some("VALID"), block, None, from.now).await?;
    let unnamed = commands::submitted_in(conn, from.tx_id).await?;
    if unnamed.is_empty() {
        return Ok(());
    }
    let message = format!("transaction {} is valid but says nothing of this command", from.tx_id);
    let fate = Fate { class: FailureClass::Invalid, message: &message, from_status: "SUBMITTED" };
    put_back(conn, &unnamed, fate, policy, rng, from.now).await?;
    Ok(())
}

/// Marks an attempt invalid and puts its commands back. `conflict` tells a read conflict,
/// which a new proposal cures, from every other code.
///
/// # Errors
/// The database's.
pub async fn settle_attempt_invalid(
    conn: &mut PgConnection,
    from: Settlement<'_>,
    code: &str,
    conflict: bool,
    policy: &RetryPolicy,
    rng: &mut impl Rng,
) -> Result<(), sqlx::Error> {
    let block = Some(from.block_number);
    let ids = commands::submitted_in(conn, from.tx_id).await?;
    attempts::settle(conn, from.tx_id, "INVALID", Some(code), block, None, from.now).await?;
    let message = format!("{code} in block {} (transaction {})", from.block_number, from.tx_id);
    let class = if conflict { FailureClass::Conflict } else { FailureClass::Invalid };
    let fate = Fate { class, message: &message, from_status: "SUBMITTED" };
    put_back(conn, &ids, fate, policy, rng, from.now).await?;
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
