//! What is done between blocks: declared results are looked for on the ledger, and what
//! operators have asked for is carried out.

use gx_db::PgConnection;
use gx_fabric_client::LedgerError;
use gx_model::Command;
use gx_outbox::tasks::{self, Task, TaskRow};
use gx_outbox::{Unverified, unverified, verified};
use serde_json::{Value, json};

use crate::postcondition::missing;
use crate::projector::Parts;
use crate::replay::{ReplayReport, Selection, replay_dead};

/// Commands whose result is looked for in one go.
const MAX_LOOKS: i64 = 16;

/// What looking for a result gave.
enum Look {
    Found,
    Missing(String),
    /// A peer does not have the command's block yet.
    TooEarly,
}

/// Does what is due. Repeating it is harmless.
///
/// # Errors
/// The database's. A ledger that does not answer is asked again next time.
pub(crate) async fn do_chores(parts: &Parts) -> Result<(), sqlx::Error> {
    let looked = look_for_results(parts).await?;
    let carried_out = carry_out_one(parts).await?;
    if looked || carried_out {
        // Commands may have become free to go.
        parts.waker.wake();
    }
    Ok(())
}

/// Ends the commands whose result was looked for; whether there was any.
async fn look_for_results(parts: &Parts) -> Result<bool, sqlx::Error> {
    let waiting = unverified(&mut *parts.pool.acquire().await?, MAX_LOOKS).await?;
    let mut any = false;
    for command in waiting {
        let missing = match look(parts, &command).await {
            Ok(Look::Found) => None,
            Ok(Look::Missing(what)) => Some(what),
            Ok(Look::TooEarly) => break,
            Err(error) => {
                tracing::debug!(error = %error, command_id = command.command_id,
                    "the result was not looked for; next time");
                break;
            }
        };
        let (id, now) = (&command.command_id, parts.clock.now());
        any |= verified(&mut *parts.pool.acquire().await?, id, missing.as_deref(), now).await?;
        if let Some(what) = missing {
            metrics::counter!("gx_commands_unverified_total", "kind" => command.kind.clone())
                .increment(1);
            tracing::error!(
                command_id = id,
                kind = command.kind,
                missing = what,
                "a command has committed without its declared result"
            );
        }
    }
    Ok(any)
}

async fn look(parts: &Parts, waiting: &Unverified) -> Result<Look, LedgerError> {
    let kind = waiting.kind.parse().map_err(|why: gx_model::UnknownName| why.to_string());
    let command = kind.and_then(|kind| {
        Command::from_payload(kind, &waiting.payload).map_err(|why| why.to_string())
    });
    let command = match command {
        Ok(command) => command,
        Err(why) => return Ok(Look::Missing(format!("this release cannot read it: {why}"))),
    };
    if missing(&parts.ledger, &command).await?.is_none() {
        return Ok(Look::Found);
    }
    // Asked again once every peer that answers has the block: the first answer may have come
    // from one that had not.
    let block = u64::try_from(waiting.block_number).unwrap_or(0);
    let heights = parts.ledger.heights().await;
    if heights.iter().any(|peer| peer.height.as_ref().is_ok_and(|height| *height <= block)) {
        return Ok(Look::TooEarly);
    }
    Ok(missing(&parts.ledger, &command).await?.map_or(Look::Found, Look::Missing))
}

/// Carries out the oldest waiting task, with its report in the same transaction; whether
/// there was one.
async fn carry_out_one(parts: &Parts) -> Result<bool, sqlx::Error> {
    let mut tx = parts.pool.begin().await?;
    let Some(row) = tasks::take(&mut tx, &parts.rules.channel, &tasks::BETWEEN_BLOCKS).await?
    else {
        return Ok(false);
    };
    let report = carry_out(&mut tx, parts, &row).await?;
    tasks::finish(&mut tx, &row.task_id, report.clone(), parts.clock.now()).await?;
    tx.commit().await?;
    tracing::info!(task_id = row.task_id, kind = row.kind, by = row.requested_by,
        report = %report, "a task was carried out");
    Ok(true)
}

async fn carry_out(
    conn: &mut PgConnection,
    parts: &Parts,
    row: &TaskRow,
) -> Result<Value, sqlx::Error> {
    let dead_event_id = match row.task() {
        Ok(Task::ReplayDeadEvents { dead_event_id }) => dead_event_id,
        Ok(Task::VerifyProjection {} | Task::RebuildProjection { .. }) => {
            return Ok(json!({ "error": "this is done beside the projection" }));
        }
        Err(why) => return Ok(json!({ "error": format!("this release cannot do it: {why}") })),
    };
    let selection = dead_event_id.map_or(Selection::All, Selection::One);
    let (rules, now) = (&parts.rules, parts.clock.now());
    let report = replay_dead(conn, &rules.channel, selection, rules.decode, now).await?;
    let replayed = u64::try_from(report.replayed.len()).unwrap_or(u64::MAX);
    metrics::counter!("gx_dead_events_replayed_total").increment(replayed);
    Ok(in_json(&report))
}

fn in_json(report: &ReplayReport) -> Value {
    let still_held: Vec<Value> = report
        .still_held
        .iter()
        .map(|held| json!({ "deadEventId": held.dead_event_id, "reason": held.reason }))
        .collect();
    json!({ "replayed": report.replayed, "stillHeld": still_held })
}
