//! The end of a run: without faults, all workers run until nothing is left to do. The run calls
//! [`drain`] before its checks; an `Err` says what is left.

use std::time::Duration;

use gx_model::{CommandId, EventRecord};
use gx_projector::{Selection, replay_dead};

use super::Run;
use super::rounds::{is_drained, work_once};
use super::{checks, population};
use crate::environment::Environment;
use crate::workers::NAMES;

/// Number of rounds after which something is stuck.
const MAX_ROUNDS: u32 = 250;
/// Time that passes in a round.
const ROUND: Duration = Duration::from_secs(20);
/// Number of rounds in a row in which approving people again and replaying dead letters may change
/// nothing.
const MAX_REPAIRS: u32 = 4;

/// Drains the run and repairs what a restore has undone.
pub(crate) async fn drain(run: &mut Run<'_>) -> Result<(), String> {
    run.note("the faults end");
    run.env.devnet.faults().clear();
    let sleepers = run.workers.actors.split_off(NAMES.len());
    run.wait_until_gone(sleepers).await;
    for actor in &run.workers.actors {
        actor.clock.set(run.env.clock.now());
    }
    checks::check_blameless(run).await?;
    work(run).await?;
    checks::check_before_repair(run).await?;
    run.upgrade().await;
    let (mut least, mut in_vain) = (i64::MAX, 0);
    while in_vain < MAX_REPAIRS {
        let left = repair(run).await?;
        if left == 0 {
            return Ok(());
        }
        // The projector finds the owners of many people in steps.
        in_vain = if left < least { 0 } else { in_vain + 1 };
        least = least.min(left);
        work(run).await?;
    }
    Err(format!("the repairs never end; {least} events are held or people have no owner"))
}

/// Lets the workers work until nothing is left, with an operator who retries dead commands.
async fn work(run: &mut Run<'_>) -> Result<(), String> {
    for _ in 0..MAX_ROUNDS {
        work_once(run).await?;
        if is_drained(run).await {
            return Ok(());
        }
        operate_all(run.env).await;
        run.pass_time(ROUND);
    }
    let left: String = sqlx::query_scalar(
        r#"SELECT coalesce(string_agg(concat_ws(' ', kind, status, "txId", "lastError",
                                                "giveUp", prerequisite, failures), E'\n'), '')
           FROM "OutboxCommand"
           WHERE status IN ('PENDING', 'HELD', 'SUBMITTED', 'BLOCKED', 'DEAD')"#,
    )
    .fetch_one(&run.env.pool)
    .await
    .unwrap();
    let attempts: String = sqlx::query_scalar(
        r#"SELECT coalesce(string_agg(concat_ws(' ', "txId", state, sends, "errorDetail",
                                                "nextSendAt"), E'\n'), '')
           FROM "LedgerAttempt" WHERE state = 'OPEN'"#,
    )
    .fetch_one(&run.env.pool)
    .await
    .unwrap();
    Err(format!("G9: it never drains; left are commands\n{left}\nand attempts\n{attempts}"))
}

/// Retries the dead commands, discards those that cannot be retried, and resumes the system if it
/// is paused.
async fn operate_all(env: &Environment) {
    let dead: Vec<(String, bool)> = sqlx::query_as(
        r#"SELECT "commandId", outcome IS NULL FROM "OutboxCommand" WHERE status = 'DEAD'
           ORDER BY number"#,
    )
    .fetch_all(&env.pool)
    .await
    .unwrap();
    for (id, can_retry) in dead {
        operate(env, &id, can_retry).await;
    }
    let waits_for_resume: bool = sqlx::query_scalar(
        r#"SELECT (EXISTS (SELECT FROM "OutboxCommand" WHERE status = 'BLOCKED')
                   OR EXISTS (SELECT FROM "LedgerSystem" WHERE "isPaused"))
               AND NOT EXISTS (SELECT FROM "OutboxCommand" WHERE kind = 'RESUME_SYSTEM'
                   AND status IN ('PENDING', 'HELD', 'SUBMITTED', 'DEAD'))"#,
    )
    .fetch_one(&env.pool)
    .await
    .unwrap();
    if waits_for_resume {
        let name = format!("resume at {}", env.clock.now());
        env.request(&gx_model::Command::ResumeSystem {}, &name).await;
    }
}

/// Retries or discards a command. Returns whether that was possible.
pub(crate) async fn operate(env: &Environment, id: &str, retry: bool) -> bool {
    let (id, now): (CommandId, _) = (id.parse().unwrap(), env.clock.now());
    let mut conn = env.conn().await;
    if retry {
        gx_outbox::operator::retry(&mut conn, id, now).await.is_ok()
    } else {
        gx_outbox::operator::discard(&mut conn, id, "simulated", "sim", now).await.is_ok()
    }
}

/// Approves the people that a restore forgot, and replays the dead letters. Returns how many dead
/// letters and people without an owner there were.
async fn repair(run: &mut Run<'_>) -> Result<i64, String> {
    let (held, ownerless): (i64, i64) = sqlx::query_as(
        r#"SELECT (SELECT count(*) FROM "EventDLQ" WHERE state = 'HELD'),
                  (SELECT count(*) FROM "LedgerUser" l
                   WHERE NOT EXISTS (SELECT FROM "UserProfile" p
                                     WHERE p."fabricUserId" = l."fabricUserId"
                                       AND p."onchainStatus" = 'REGISTERED'))"#,
    )
    .fetch_one(&run.env.pool)
    .await
    .unwrap();
    if held + ownerless == 0 {
        return Ok(0);
    }
    let forgotten: Vec<String> = sqlx::query_scalar(
        r#"SELECT "profileId" FROM "UserProfile" WHERE status = 'PENDING_ADMIN_APPROVAL'
           ORDER BY "createdAt", email"#,
    )
    .fetch_all(&run.env.pool)
    .await
    .unwrap();
    let who: Vec<usize> =
        forgotten.iter().filter_map(|profile_id| run.env.number_of(profile_id)).collect();
    population::approve(run, &who).await?;
    let (env, now) = (run.env, run.env.clock.now());
    let mut conn = env.conn().await;
    let report =
        replay_dead(&mut conn, env.channel(), Selection::All, EventRecord::decode, now).await;
    let report = report.unwrap();
    run.note(format!(
        "dead letters: {} replayed, {} still held",
        report.replayed_count, report.still_held_count
    ));
    Ok(held + ownerless)
}
