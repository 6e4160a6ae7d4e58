//! The end of a run: no more faults, everybody works until nothing is left to do.

use std::time::Duration;

use gx_model::{CommandId, EventRecord};
use gx_projector::{Selection, replay_dead};

use crate::book::Want;
use crate::cast::NAMES;
use crate::play::Play;
use crate::stage::Stage;

/// Rounds after which something is stuck.
const MAX_ROUNDS: u32 = 250;
/// Gates between two steps of a worker's loop, at most.
const MAX_GATES: u32 = 400;
/// How much time passes in a round.
const ROUND: Duration = Duration::from_secs(20);
/// How often what a restore undid is asked for again, and dead letters are replayed.
const MAX_REPAIRS: u32 = 4;

/// Drains, and lets people repair what a restore has undone.
pub(crate) async fn drain(play: &mut Play<'_>) -> Result<(), String> {
    play.note("the faults end");
    play.stage.devnet.faults().clear();
    let ghosts = play.cast.actors.split_off(NAMES.len());
    play.bury(ghosts).await;
    for actor in &play.cast.actors {
        actor.clock.set(play.stage.clock.now());
    }
    for _ in 0..MAX_REPAIRS {
        work(play).await?;
        if !repair(play).await? {
            return Ok(());
        }
    }
    Err("people's repairs never end".to_owned())
}

async fn work(play: &mut Play<'_>) -> Result<(), String> {
    for _ in 0..MAX_ROUNDS {
        for place in 0..NAMES.len() {
            to_the_step_end(play, place).await?;
        }
        play.cut().await;
        if is_drained(play).await {
            return Ok(());
        }
        operate_all(play.stage).await;
        play.pass_time(ROUND);
    }
    let left: String = sqlx::query_scalar(
        r#"SELECT coalesce(string_agg(concat_ws(' ', kind, status, "txId", "lastError",
                                                "giveUp", prerequisite, failures), E'\n'), '')
           FROM "OutboxCommand"
           WHERE status IN ('PENDING', 'HELD', 'SUBMITTED', 'BLOCKED', 'DEAD')"#,
    )
    .fetch_one(play.stage.database.pool())
    .await
    .unwrap();
    let attempts: String = sqlx::query_scalar(
        r#"SELECT coalesce(string_agg(concat_ws(' ', "txId", state, sends, "errorDetail",
                                                "nextSendAt"), E'\n'), '')
           FROM "LedgerAttempt" WHERE state = 'OPEN'"#,
    )
    .fetch_one(play.stage.database.pool())
    .await
    .unwrap();
    Err(format!("G9: it never drains; left are commands\n{left}\nand attempts\n{attempts}"))
}

async fn to_the_step_end(play: &mut Play<'_>, place: usize) -> Result<(), String> {
    for _ in 0..MAX_GATES {
        play.go(place).await?;
        if play.cast.actors[place].is_between_steps() {
            return Ok(());
        }
    }
    Err(format!("{} works without end", NAMES[place]))
}

/// Nothing is under way and the read model is at the tip.
async fn is_drained(play: &Play<'_>) -> bool {
    let open: i64 = sqlx::query_scalar(
        r#"SELECT (SELECT count(*) FROM "OutboxCommand"
                   WHERE status IN ('PENDING', 'HELD', 'SUBMITTED', 'BLOCKED', 'DEAD')
                     AND outcome IS NULL)
                + (SELECT count(*) FROM "OutboxCommand" WHERE status = 'DEAD')
                + (SELECT count(*) FROM "LedgerAttempt" WHERE state = 'OPEN')
                + (SELECT count(*) FROM "LedgerSystem" WHERE "isPaused")"#,
    )
    .fetch_one(play.stage.database.pool())
    .await
    .unwrap();
    let height = play.stage.height.load(std::sync::atomic::Ordering::SeqCst);
    open == 0 && play.stage.checkpoint().await == i64::try_from(height).ok().map(|h| h - 1)
}

/// An operator retries what is dead and discards what cannot be retried; whoever paused the
/// system ends that.
async fn operate_all(stage: &Stage) {
    let dead: Vec<(String, bool)> = sqlx::query_as(
        r#"SELECT "commandId", outcome IS NULL FROM "OutboxCommand" WHERE status = 'DEAD'
           ORDER BY number"#,
    )
    .fetch_all(stage.database.pool())
    .await
    .unwrap();
    for (id, can_retry) in dead {
        operate(stage, &id, can_retry).await;
    }
    let waits_for_resume: bool = sqlx::query_scalar(
        r#"SELECT (EXISTS (SELECT FROM "OutboxCommand" WHERE status = 'BLOCKED')
                   OR EXISTS (SELECT FROM "LedgerSystem" WHERE "isPaused"))
               AND NOT EXISTS (SELECT FROM "OutboxCommand" WHERE kind = 'RESUME_SYSTEM'
                   AND status IN ('PENDING', 'HELD', 'SUBMITTED', 'DEAD'))"#,
    )
    .fetch_one(stage.database.pool())
    .await
    .unwrap();
    if waits_for_resume {
        let name = format!("resume at {}", stage.clock.now());
        stage.want(&gx_model::Command::ResumeSystem {}, &name).await;
    }
}

/// Retries or discards a command; whether that was possible.
pub(crate) async fn operate(stage: &Stage, id: &str, retry: bool) -> bool {
    let (id, now): (CommandId, _) = (id.parse().unwrap(), stage.clock.now());
    let mut conn = stage.conn().await;
    if retry {
        gx_outbox::retry(&mut conn, id, now).await.is_ok()
    } else {
        gx_outbox::discard(&mut conn, id, "simulated", "sim", now).await.is_ok()
    }
}

/// People who were approved before a restore are approved again, and then the dead letters
/// that held their events are replayed. Whether there was anything to do.
async fn repair(play: &mut Play<'_>) -> Result<bool, String> {
    let held: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "EventDLQ" WHERE state = 'HELD'"#)
        .fetch_one(play.stage.database.pool())
        .await
        .unwrap();
    if held == 0 {
        return Ok(false);
    }
    let forgotten: Vec<String> = sqlx::query_scalar(
        r#"SELECT "profileId" FROM "UserProfile" WHERE status = 'PENDING_ADMIN_APPROVAL'
           ORDER BY email"#,
    )
    .fetch_all(play.stage.database.pool())
    .await
    .unwrap();
    for profile_id in forgotten {
        let who = play.stage.people.iter().position(|person| person.profile_id == profile_id);
        let want = Want::Approve(who.unwrap());
        let said = play.book.send(play.stage, want, false, false).await?;
        play.note(format!("once more {said}"));
    }
    let (stage, now) = (play.stage, play.stage.clock.now());
    let mut conn = stage.conn().await;
    let report =
        replay_dead(&mut conn, stage.channel(), Selection::All, EventRecord::decode, now).await;
    let report = report.unwrap();
    play.note(format!(
        "dead letters: {} replayed, {} still held",
        report.replayed.len(),
        report.still_held.len()
    ));
    Ok(true)
}
