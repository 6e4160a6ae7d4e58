//! Rounds, in which every worker takes a whole step of its loop. Called by `drain`, `population`
//! and the bouts of a storm; an `Err` names a worker that hangs or works without end.

use std::time::Duration;

use super::Run;
use crate::workers::NAMES;

/// Limit of the barriers between two steps of a worker's loop.
const MAX_BARRIERS: u32 = 400;

/// Lets all workers that can move work for some rounds, or until nothing is left to do.
pub(crate) async fn work_for(
    run: &mut Run<'_>,
    rounds: u32,
    round: Duration,
) -> Result<(), String> {
    for _ in 0..rounds {
        work_once(run).await?;
        if is_drained(run).await {
            return Ok(());
        }
        run.pass_time(round);
    }
    Ok(())
}

/// Lets all workers that can move take one step of their loop, and cuts a block.
pub(crate) async fn work_once(run: &mut Run<'_>) -> Result<(), String> {
    for place in 0..NAMES.len() {
        if run.may_go(place) {
            to_the_step_end(run, place).await?;
        }
    }
    run.cut().await;
    Ok(())
}

/// Moves a worker to the end of its step.
async fn to_the_step_end(run: &mut Run<'_>, place: usize) -> Result<(), String> {
    for _ in 0..MAX_BARRIERS {
        run.go(place).await?;
        if run.workers.actors[place].is_between_steps() {
            return Ok(());
        }
    }
    Err(format!("{} works without end", NAMES[place]))
}

/// Returns whether nothing is in flight and the read model is at the tip.
pub(super) async fn is_drained(run: &Run<'_>) -> bool {
    let open: i64 = sqlx::query_scalar(
        r#"SELECT (SELECT count(*) FROM "OutboxCommand"
                   WHERE status IN ('PENDING', 'HELD', 'SUBMITTED', 'BLOCKED', 'DEAD')
                     AND outcome IS NULL)
                + (SELECT count(*) FROM "OutboxCommand" WHERE status = 'DEAD')
                + (SELECT count(*) FROM "LedgerAttempt" WHERE state = 'OPEN')
                + (SELECT count(*) FROM "LedgerSystem" WHERE "isPaused")"#,
    )
    .fetch_one(&run.env.pool)
    .await
    .unwrap();
    let height = run.env.height.load(std::sync::atomic::Ordering::SeqCst);
    open == 0 && run.env.checkpoint().await == i64::try_from(height).ok().map(|h| h - 1)
}
