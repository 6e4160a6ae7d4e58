//! Work between blocks: checks the declared results of commands, and carries out tasks of
//! operators. The projector's step calls it when no block comes, and otherwise after 64 or more
//! blocks.

use gx_db::PgConnection;
use gx_fabric_client::LedgerError;
use gx_model::Command;
use gx_outbox::projector::{Unverified, unverified, verified};
use gx_outbox::sync_points::SyncPoints;
use gx_outbox::tasks::{self, Task, TaskRow};
use serde_json::{Value, json};
use sqlx::Connection;

use super::adoption::adopt_waiting;
use super::replay::{ReplayProgress, Selection, replay_part};
use crate::apply::store::dead;
use crate::check::missing;
use crate::context::ProjectorContext;
use crate::leader::StepProgress;

/// Limit of the commands whose result is checked at once.
const MAX_RESULT_CHECKS: i64 = 16;

/// `requestedBy` of tasks that the projector creates for itself.
const PROJECTOR: &str = "projector";

/// Result of looking for a command's declared result on the ledger.
enum ResultCheck {
    Found,
    Missing(String),
    /// A peer does not have the command's block yet.
    TooEarly,
}

/// Carries out what is due and returns whether a task has more parts. Calling it again is harmless.
///
/// # Errors
/// `sqlx::Error` if a statement fails. If the ledger does not answer, results are checked next
/// time.
pub(crate) async fn run_housekeeping(
    context: &ProjectorContext,
    sync_points: &SyncPoints,
    progress: &StepProgress,
) -> Result<bool, sqlx::Error> {
    let adopted = adopt_waiting(context, progress).await?;
    let looked = check_results(context, progress).await?;
    let carried_out = carry_out_part(context, sync_points, progress).await?;
    if adopted || looked || carried_out != TaskPart::Nothing {
        // Commands may be due now.
        context.waker.wake();
    }
    Ok(carried_out == TaskPart::OneOfMany)
}

/// Creates a task that replays the dead letters which an older release, without places, has held
/// back behind others. By themselves they can be applied, and freezes among them must take effect.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub(crate) async fn request_replay_of_old_releases(
    context: &ProjectorContext,
    block: u64,
) -> Result<(), sqlx::Error> {
    let mut conn = context.pool.acquire().await?;
    let channel = &context.settings.channel;
    if !dead::any_held_behind(&mut conn, channel).await? {
        return Ok(());
    }
    let task_id = format!("held behind, {channel}, block {block}");
    if tasks::get(&mut conn, &task_id).await?.is_none() {
        let task = Task::ReplayDeadEvents { dead_event_id: None };
        let row = TaskRow::new(&task_id, channel, task, PROJECTOR, context.clock.now());
        tasks::ask(&mut conn, &row).await?;
    }
    Ok(())
}

/// Ends the commands whose result was checked and returns whether there were any.
async fn check_results(
    context: &ProjectorContext,
    progress: &StepProgress,
) -> Result<bool, sqlx::Error> {
    let waiting = unverified(&mut *context.pool.acquire().await?, MAX_RESULT_CHECKS).await?;
    let mut any = false;
    for command in waiting {
        let missing = match progress.wait(check_result(context, &command)).await {
            Ok(ResultCheck::Found) => None,
            Ok(ResultCheck::Missing(what)) => Some(what),
            Ok(ResultCheck::TooEarly) => break,
            Err(error) => {
                tracing::debug!(error = %error, command_id = command.command_id.as_str(),
                    "the result of command {} cannot be checked; it is checked again later",
                    command.command_id);
                break;
            }
        };
        let (id, now) = (&command.command_id, context.clock.now());
        any |= verified(&mut *context.pool.acquire().await?, id, missing.as_deref(), now).await?;
        if let Some(what) = missing {
            metrics::counter!("gx_commands_unverified_total", "kind" => command.kind.clone())
                .increment(1);
            tracing::error!(
                command_id = id.as_str(),
                kind = command.kind,
                missing = what,
                "command {id} has committed without its declared result; look at it with \
                 `gx outbox show`, and rely on nothing that depends on it"
            );
        }
    }
    Ok(any)
}

/// Looks for the declared result of one command. An error means that the ledger did not answer.
async fn check_result(
    context: &ProjectorContext,
    waiting: &Unverified,
) -> Result<ResultCheck, LedgerError> {
    let kind = waiting.kind.parse().map_err(|why: gx_model::UnknownName| why.to_string());
    let command = kind.and_then(|kind| {
        Command::from_payload(kind, &waiting.payload).map_err(|why| why.to_string())
    });
    let command = match command {
        Ok(command) => command,
        Err(why) => return Ok(ResultCheck::Missing(format!("this release cannot read it: {why}"))),
    };
    if missing(&context.ledger, &command).await?.is_none() {
        return Ok(ResultCheck::Found);
    }
    // The first answer may be from a peer without the block. So the question is asked again after
    // every peer that answers has it.
    let block = u64::try_from(waiting.block_number).unwrap_or(0);
    let heights = context.ledger.heights().await;
    if heights.iter().any(|peer| peer.height.as_ref().is_ok_and(|height| *height <= block)) {
        return Ok(ResultCheck::TooEarly);
    }
    Ok(missing(&context.ledger, &command).await?.map_or(ResultCheck::Found, ResultCheck::Missing))
}

/// How much of a task was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TaskPart {
    /// There was no task.
    Nothing,
    /// One part; more are left.
    OneOfMany,
    /// The last part.
    TheLast,
}

/// Carries out the next part of the oldest waiting task. After an error the task is still waiting,
/// and the attempt does not count.
async fn carry_out_part(
    context: &ProjectorContext,
    sync_points: &SyncPoints,
    progress: &StepProgress,
) -> Result<TaskPart, sqlx::Error> {
    let mut conn = context.pool.acquire().await?;
    let (channel, now) = (&context.settings.channel, context.clock.now());
    let Some(row) = tasks::begin(&mut conn, channel, &tasks::BETWEEN_BLOCKS, now).await? else {
        return Ok(TaskPart::Nothing);
    };
    sync_points.reach("task").await;
    let watched = progress.watch(&mut conn).await?;
    let done = carry_out(&mut conn, context, &row).await;
    drop(watched);
    if done.is_err() {
        // The error is not the task's fault, since this projector keeps running. Another connection
        // is used because this one may have failed.
        drop(conn);
        tasks::uncount_attempt(&mut *context.pool.acquire().await?, &row.task_id).await?;
    }
    done
}

/// Carries out one part of a task and stores its progress or report in the same transaction.
async fn carry_out(
    conn: &mut PgConnection,
    context: &ProjectorContext,
    row: &TaskRow,
) -> Result<TaskPart, sqlx::Error> {
    let mut tx = conn.begin().await?;
    if !tasks::lock(&mut tx, &row.task_id).await? {
        return Ok(TaskPart::OneOfMany);
    }
    let error = |text: String| PartOutcome::Ended(json!({ "error": text }));
    let outcome = match row.task() {
        Ok(Task::ReplayDeadEvents { dead_event_id }) => {
            replay(&mut tx, context, row, dead_event_id).await?
        }
        Ok(Task::VerifyProjection {} | Task::RebuildProjection { .. }) => {
            error("this kind is carried out by the reconciliation".to_owned())
        }
        Ok(Task::AdoptPerson { .. }) => error("adoptions are carried out together".to_owned()),
        Err(why) => error(format!("this release cannot read the task: {why}")),
    };
    let (task_id, now) = (&row.task_id, context.clock.now());
    let part = match outcome {
        PartOutcome::GoesOn(progress) => {
            tasks::advance(&mut tx, task_id, progress).await?;
            TaskPart::OneOfMany
        }
        PartOutcome::Ended(report) => {
            tracing::info!(task_id, kind = row.kind, by = row.requested_by, report = %report,
                "task {task_id} was carried out");
            tasks::finish(&mut tx, task_id, report, now).await?;
            TaskPart::TheLast
        }
    };
    tx.commit().await?;
    Ok(part)
}

/// Result of one part of a task.
enum PartOutcome {
    /// The task has more parts; this is its progress.
    GoesOn(Value),
    /// The task has ended; this is its report.
    Ended(Value),
}

/// Replays the next part of the dead letters that a task names.
async fn replay(
    conn: &mut PgConnection,
    context: &ProjectorContext,
    row: &TaskRow,
    dead_event_id: Option<i64>,
) -> Result<PartOutcome, sqlx::Error> {
    let progress = row
        .progress
        .clone()
        .map_or_else(|| Ok(ReplayProgress::default()), serde_json::from_value::<ReplayProgress>);
    let mut progress = match progress {
        Ok(progress) => progress,
        Err(why) => {
            let error = format!("this release cannot read the progress of the task: {why}");
            return Ok(PartOutcome::Ended(json!({ "error": error })));
        }
    };
    let selection = dead_event_id.map_or(Selection::All, Selection::One);
    let (settings, now) = (&context.settings, context.clock.now());
    let before = progress.report.replayed_count;
    let is_last =
        replay_part(conn, &settings.channel, selection, &mut progress, settings.decode, now)
            .await?;
    let replayed = progress.report.replayed_count.saturating_sub(before);
    metrics::counter!("gx_dead_events_replayed_total").increment(replayed);
    Ok(if is_last {
        PartOutcome::Ended(json!(progress.report))
    } else {
        PartOutcome::GoesOn(json!(progress))
    })
}
