//! What operators see of everything that is under way, and what they can do about it.

use std::time::Duration;

use gx_devnet::TxValidationCode;
use gx_model::{Command, CommandId, CommandStatus};
use gx_outbox::RetryPolicy;
use gx_serve::HealthBoard;
use gx_submitter::{Parts, Submitter, SubmitterSettings};
use gx_testkit::story::{Door, Person};
use gx_testkit::{World, eventually};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Bound of every wait.
const BOUND: Duration = Duration::from_secs(30);
/// Refusals after which a command is given up here.
const REFUSALS: u32 = 7;
/// The first delay is at most this long.
const FIRST_DELAY: Duration = Duration::from_millis(8);

/// A submitter that tries again soon, and gives up soon.
fn impatient(world: &World, settings: SubmitterSettings) -> Submitter {
    let retry = RetryPolicy { base: FIRST_DELAY, refused: REFUSALS, ..RetryPolicy::default() };
    let parts = Parts { retry, ..world.submitter.parts().clone() };
    Submitter::new(parts, settings, StdRng::seed_from_u64(7)).unwrap()
}

/// Metrics of this thread, on which everything of these tests runs.
fn metrics() -> (PrometheusHandle, metrics::LocalRecorderGuard<'static>) {
    let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
    (recorder.handle(), metrics::set_default_local_recorder(recorder))
}

/// Lets a submitter run as its process does until a gauge has this value.
async fn until_gauge(world: &World, metrics: &PrometheusHandle, line: &str) {
    let (stop, board) = (CancellationToken::new(), HealthBoard::new("test", world.clock.clone()));
    let settings =
        SubmitterSettings { instance: "watcher".to_owned(), ..SubmitterSettings::default() };
    let running = gx_submitter::run(impatient(world, settings), stop.clone(), board);
    let running = tokio::spawn(running);
    eventually(line, BOUND, async || {
        metrics.render().lines().any(|found| found == line).then_some(())
    })
    .await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

async fn get(admin: &Door, token: &str, path: &str) -> Value {
    admin.get(&format!("/api/v1/admin/{path}"), token).await.expect(200).json
}

async fn post(admin: &Door, token: &str, path: &str, status: u16) -> Value {
    let body = json!({ "reason": "the cause is removed" });
    let path = format!("/api/v1/admin/{path}");
    admin.post(&path, Some(token), &body).await.expect(status).json
}

fn activate(code: &str) -> Command {
    Command::ActivateTreasury { country_code: code.parse().unwrap() }
}

/// Steps the submitter until a command is dead; the delay that was stored after each try.
async fn fail_until_dead(world: &mut World, id: CommandId) -> Vec<i64> {
    let mut delays = vec![];
    let deadline = tokio::time::Instant::now() + BOUND;
    loop {
        let _ = world.submitter.step().await;
        let (status, attempts, delay): (String, i32, i64) = sqlx::query_as(
            r#"SELECT status, attempts,
                      (extract(epoch FROM "nextAttemptAt" - "updatedAt") * 1000)::bigint
               FROM "OutboxCommand" WHERE "commandId" = $1"#,
        )
        .bind(id.to_string())
        .fetch_one(world.database.pool())
        .await
        .unwrap();
        if status == "DEAD" {
            return delays;
        }
        if usize::try_from(attempts).unwrap() > delays.len() {
            delays.push(delay);
        }
        assert!(tokio::time::Instant::now() < deadline, "{status} after {attempts} tries");
    }
}

/// OUT-04: a command that keeps failing is tried with growing, jittered delays, which are
/// stored, and then dead: the gauge reads 1, the list shows it with the reason; an
/// administrator's retry commits it and leaves an audit row.
#[tokio::test]
async fn a_command_that_keeps_failing_is_dead_until_an_administrator_retries_it() {
    let (metrics, _guard) = metrics();
    let mut world = World::start().await;
    world.submitter = impatient(&world, SubmitterSettings::default());
    let id = world.want(&activate("MY")).await;
    let refusals = usize::try_from(REFUSALS).unwrap();
    world.devnet.faults().fail_endorsements(refusals, 400, "out of order");

    let delays = fail_until_dead(&mut world, id).await;
    assert_eq!(delays.len(), refusals - 1, "{delays:?}");
    for (nth, delay) in (0_u32..).zip(&delays) {
        let longest = FIRST_DELAY.as_millis() << nth;
        assert!(u128::try_from(*delay).unwrap() <= longest, "{delays:?}");
    }
    let (early, late) = delays.split_at(delays.len() / 2);
    assert!(early.iter().sum::<i64>() < late.iter().sum::<i64>(), "they grow: {delays:?}");
    until_gauge(&world, &metrics, "gx_outbox_commands{status=\"DEAD\"} 1").await;

    let token = world.admin_token().await;
    let dead = get(&world.gx.admin, &token, "outbox?status=DEAD").await;
    assert_eq!(dead["items"].as_array().unwrap().len(), 1, "{dead}");
    assert_eq!(dead["items"][0]["commandId"], id.to_string());
    assert!(dead["items"][0]["lastError"].as_str().unwrap().contains("out of order"), "{dead}");

    post(&world.gx.admin, &token, &format!("outbox/{id}/retry"), 200).await;
    world.settle().await;
    let now = get(&world.gx.admin, &token, &format!("outbox/{id}")).await;
    assert_eq!(now["status"], "COMMITTED", "{now}");
    assert_eq!(now["envelopes"][0]["validationCode"], "VALID", "{now}");
    let audit = get(&world.gx.admin, &token, "audit?limit=1").await;
    let row = &audit["items"][0];
    assert_eq!((&row["action"], &row["actorType"]), (&json!("command.retried"), &json!("ADMIN")));
    assert_eq!((&row["targetId"], &row["before"]["status"]), (&json!(id), &json!("DEAD")));
    assert_eq!(row["after"]["reason"], "the cause is removed");
    until_gauge(&world, &metrics, "gx_outbox_commands{status=\"DEAD\"} 0").await;
}

/// OUT-08: a bootstrap that commits without pools is shown as unverified by the list with
/// what is missing, by the gauge and by the system's page, and nowhere as committed.
#[tokio::test]
async fn a_bootstrap_without_pools_is_shown_as_unverified() {
    let (metrics, _guard) = metrics();
    let mut world = World::unborn().await;
    world.bring_to_life().await;
    world.devnet.faults().force_validation_code(1, TxValidationCode::Valid);
    world.settle().await;

    let token = world.admin_token().await;
    let shown = get(&world.gx.admin, &token, "outbox?kind=BOOTSTRAP_SYSTEM").await;
    let bootstrap = &shown["items"][0];
    assert_eq!(bootstrap["status"], "COMMITTED_UNVERIFIED", "{shown}");
    let missing = bootstrap["lastError"].as_str().unwrap();
    assert!(missing.contains("SYSTEM_LOAN_POOL"), "{missing}");
    let committed = get(&world.gx.admin, &token, "outbox?status=COMMITTED").await;
    assert_eq!(committed["items"], json!([]));
    let system = get(&world.gx.admin, &token, "system").await;
    assert_eq!(system["outbox"]["COMMITTED_UNVERIFIED"], 2, "{system}");
    until_gauge(&world, &metrics, "gx_outbox_commands{status=\"COMMITTED_UNVERIFIED\"} 2").await;
}

/// G9: whatever becomes of a command, the list says that it is done, that it waits and for
/// what, or that it failed and why; what is not done is counted.
#[tokio::test]
async fn every_command_is_done_waiting_or_failed_with_a_reason() {
    let (metrics, _guard) = metrics();
    let mut world = World::start().await;
    let token = world.admin_token().await;
    // One is refused by a rule, one given up, one withdrawn.
    let locked = Command::Transfer {
        from: "treasury_MY".parse().unwrap(),
        to: "SYSTEM_LOAN_POOL".parse().unwrap(),
        amount: gx_model::Qirat::gx(1),
        tx_type: None,
    };
    let refused = world.want(&locked).await;
    world.settle().await;
    world.submitter = impatient(&world, SubmitterSettings::default());
    let dead = world.want(&activate("SG")).await;
    world.devnet.faults().fail_endorsements(usize::try_from(REFUSALS).unwrap(), 400, "no");
    fail_until_dead(&mut world, dead).await;
    let withdrawn = world.want(&activate("AD")).await;
    post(&world.gx.admin, &token, &format!("outbox/{withdrawn}/discard"), 200).await;
    world.settle().await;
    // One waits for the resume, and one behind it.
    world.want(&Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }).await;
    world.settle().await;
    let blocked = world.want(&activate("MY")).await;
    world.settle().await;
    let behind = world.want(&locked_again()).await;
    world.submit().await;
    // One is on its way, and stays there: no block is made.
    world.devnet.faults().hold_commits();
    let resume = world.want(&Command::ResumeSystem {}).await;
    world.submit().await;

    let list = get(&world.gx.admin, &token, "outbox?limit=100").await;
    for command in list["items"].as_array().unwrap() {
        assert!(is_accounted_for(command), "{command}");
    }
    let status = |id: CommandId| {
        let items = list["items"].as_array().unwrap();
        let found = items.iter().find(|one| one["commandId"] == id.to_string()).unwrap();
        found["status"].as_str().unwrap().to_owned()
    };
    let expected = ["REFUSED", "DEAD", "DISCARDED", "BLOCKED", "HELD", "SUBMITTED"];
    assert_eq!([refused, dead, withdrawn, blocked, behind, resume].map(status), expected);
    for (status, count) in [("DEAD", 1), ("BLOCKED", 1), ("HELD", 1), ("SUBMITTED", 1)] {
        let line = format!("gx_outbox_commands{{status=\"{status}\"}} {count}");
        until_gauge(&world, &metrics, &line).await;
    }
    let rendered = metrics.render();
    assert!(rendered.contains("gx_ledger_attempts_open 1"), "{rendered}");
    let age = rendered
        .lines()
        .find_map(|line| line.strip_prefix("gx_ledger_attempt_oldest_open_age_seconds "));
    assert!(age.is_some_and(|seconds| seconds != "0"), "{rendered}");
}

/// Another command of the treasury that waits.
fn locked_again() -> Command {
    Command::Transfer {
        from: "treasury_MY".parse().unwrap(),
        to: "SYSTEM_GX_POOL".parse().unwrap(),
        amount: gx_model::Qirat::gx(1),
        tx_type: None,
    }
}

/// Whether a listed command says how it ended, or what it waits for.
fn is_accounted_for(command: &Value) -> bool {
    let status = CommandStatus::from_name(command["status"].as_str().unwrap()).unwrap();
    let says = |field: &str| !command[field].is_null();
    match status {
        CommandStatus::Committed => says("txId") && says("blockNumber") && says("settledAt"),
        CommandStatus::Pending => says("nextAttemptAt"),
        CommandStatus::Held => says("aggregateKey"),
        CommandStatus::Submitted => says("txId"),
        CommandStatus::Blocked => command["prerequisite"]["kind"].is_string(),
        CommandStatus::Refused => says("outcome") && says("settledAt"),
        CommandStatus::Dead | CommandStatus::CommittedUnverified => says("lastError"),
        CommandStatus::Discarded => command["giveUp"]["reason"].is_string() && says("settledAt"),
    }
}

/// Takes the id away that an approved person holds here, as a lost row would; puts it back.
async fn reservation(world: &World, person: &Person, is_there: bool) {
    let sql = if is_there {
        r#"INSERT INTO "FabricIdReservation"
           SELECT payload ->> 'userId', "profileId", "commandId", "createdAt"
           FROM "OutboxCommand" WHERE kind = 'CREATE_USER' AND "profileId" = $1"#
    } else {
        r#"DELETE FROM "FabricIdReservation" WHERE "profileId" = $1"#
    };
    let done = sqlx::query(sql).bind(&person.profile_id).execute(world.database.pool()).await;
    assert_eq!(done.unwrap().rows_affected(), 1);
}

/// G9, PRJ-01: events that cannot be applied are listed with their reasons and hold back their
/// person alone; once the cause is removed an administrator has the projector replay them,
/// which is audited, and nothing is left.
#[tokio::test]
async fn dead_events_are_listed_and_replayed_by_an_administrator() {
    let mut world = World::start().await;
    let lost = world.gx.register(1).await;
    world.gx.submit(&lost).await;
    let token = world.admin_token().await;
    world.gx.approve(&token, &lost).await.expect(200);
    reservation(&world, &lost, false).await;
    world.settle().await;
    let other = world.participant(2).await;
    // The other person exists; the grant stands behind the lost one, with their treasury.
    assert_eq!(world.gx.wallet(&other).await.unwrap().str("/balance"), "0");
    assert!(world.gx.wallet(&lost).await.is_none());

    let held = get(&world.gx.admin, &token, "dead-events?state=HELD").await;
    let names: Vec<_> = held["items"].as_array().unwrap().iter().map(|e| &e["eventName"]).collect();
    assert_eq!(names, ["GenesisDistributed", "GenesisDistributed", "UserCreated"], "{held}");
    for event in held["items"].as_array().unwrap() {
        assert!(event["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{event}");
    }
    let projection = get(&world.gx.admin, &token, "projection").await;
    assert_eq!(projection["channels"][0]["heldEvents"], names.len());

    reservation(&world, &lost, true).await;
    let asked = post(&world.gx.admin, &token, "dead-events/replay", 202).await;
    let task = format!("projection/tasks/{}", asked["taskId"].as_str().unwrap());
    let deadline = tokio::time::Instant::now() + BOUND;
    let done = loop {
        world.projector.step(Duration::from_millis(10)).await.unwrap();
        let task = get(&world.gx.admin, &token, &task).await;
        if task["state"] == "DONE" {
            break task;
        }
        assert!(tokio::time::Instant::now() < deadline, "{task}");
    };
    assert_eq!(done["report"]["replayed"].as_array().unwrap().len(), names.len(), "{done}");
    assert_eq!(done["report"]["stillHeld"], json!([]));
    for person in [&lost, &other] {
        assert_eq!(world.gx.wallet(person).await.unwrap().str("/balance"), "500");
    }
    let held = get(&world.gx.admin, &token, "dead-events?state=HELD").await;
    assert_eq!(held["items"], json!([]));
    let audit = get(&world.gx.admin, &token, "audit?limit=1").await;
    assert_eq!(audit["items"][0]["action"], "dead_events.replay_asked");
}
