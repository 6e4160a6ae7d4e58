//! What operators see of commands and events, and how they retry and replay them.

use std::time::Duration;

use gx_devnet::TxValidationCode;
use gx_model::{Command, CommandId, CommandStatus};
use gx_outbox::failure::RetryPolicy;
use gx_serve::HealthBoard;
use gx_submitter::{Submitter, SubmitterContext, SubmitterSettings};
use gx_testkit::story::{Person, ServiceEndpoint};
use gx_testkit::{World, eventually};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Longest wait.
const BOUND: Duration = Duration::from_secs(120);
/// Refusals after which a command is given up here.
const REFUSALS: u32 = 7;
/// The first delay is at most this long.
const FIRST_DELAY: Duration = Duration::from_millis(8);

/// Returns a submitter that tries again soon and gives up soon.
fn hasty_submitter(world: &World, settings: SubmitterSettings) -> Submitter {
    let retry = RetryPolicy {
        base: FIRST_DELAY,
        refused: REFUSALS,
        least_age: Duration::ZERO,
        ..RetryPolicy::default()
    };
    let parts = SubmitterContext { retry, ..world.submitter.context().clone() };
    Submitter::new(parts, settings, StdRng::seed_from_u64(7)).unwrap()
}

/// Records the metrics of this thread, on which all parts of these tests run.
fn metrics() -> (PrometheusHandle, metrics::LocalRecorderGuard<'static>) {
    let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
    (recorder.handle(), metrics::set_default_local_recorder(recorder))
}

/// Runs a submitter until a gauge has this value.
async fn run_until(world: &World, metrics: &PrometheusHandle, line: &str) {
    let (stop, board) = (CancellationToken::new(), HealthBoard::new("test", world.clock.clone()));
    let settings =
        SubmitterSettings { instance: "watcher".to_owned(), ..SubmitterSettings::default() };
    let running = gx_submitter::run(hasty_submitter(world, settings), stop.clone(), board);
    let running = tokio::spawn(running);
    eventually(line, BOUND, async || {
        metrics.render().lines().any(|found| found == line).then_some(())
    })
    .await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

async fn get(admin: &ServiceEndpoint, token: &str, path: &str) -> Value {
    admin.get(&format!("/api/v1/admin/{path}"), token).await.expect(200).json
}

async fn post(admin: &ServiceEndpoint, token: &str, path: &str, status: u16) -> Value {
    let body = json!({ "reason": "the cause is removed" });
    let path = format!("/api/v1/admin/{path}");
    admin.post(&path, Some(token), &body).await.expect(status).json
}

fn activate(code: &str) -> Command {
    Command::ActivateTreasury { country_code: code.parse().unwrap() }
}

/// Steps the workers until a command is dead, and returns the stored delay after each try.
async fn fail_until_dead(world: &mut World, id: CommandId) -> Vec<i64> {
    let mut delays = vec![];
    let deadline = tokio::time::Instant::now() + BOUND;
    loop {
        let _ = world.submitter.step().await;
        // Other commands succeed meanwhile, which shows that this command causes its failures.
        let _ = world.projector.step(Duration::from_millis(1)).await;
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
    world.submitter = hasty_submitter(&world, SubmitterSettings::default());
    let id = world.enqueue(&activate("MY")).await;
    let faults = world.devnet.faults();
    faults.refuse_what_holds(&id.to_string(), 400, "out of order");

    let delays = fail_until_dead(&mut world, id).await;
    faults.clear();
    // The first failure was not charged, because its cause was not certain yet.
    assert_eq!(delays.len(), usize::try_from(REFUSALS).unwrap() + 1, "{delays:?}");
    for (nth, delay) in (0_u32..).zip(&delays) {
        let longest = FIRST_DELAY.as_millis() << nth;
        assert!(u128::try_from(*delay).unwrap() <= longest, "{delays:?}");
    }
    let (early, late) = delays.split_at(delays.len() / 2);
    assert!(early.iter().sum::<i64>() < late.iter().sum::<i64>(), "they grow: {delays:?}");
    run_until(&world, &metrics, "gx_outbox_commands{status=\"DEAD\"} 1").await;

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
    run_until(&world, &metrics, "gx_outbox_commands{status=\"DEAD\"} 0").await;
}

/// OUT-08: a bootstrap that commits without pools is shown as unverified by the list with
/// what is missing, by the gauge and by the system's page, and nowhere as committed.
#[tokio::test]
async fn a_bootstrap_without_pools_is_shown_as_unverified() {
    let (metrics, _guard) = metrics();
    let mut world = World::start_empty().await;
    world.bootstrap().await;
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
    run_until(&world, &metrics, "gx_outbox_commands{status=\"COMMITTED_UNVERIFIED\"} 2").await;
}

/// G9: for every command the list says that it is done, what it waits for, or why it failed;
/// metrics count the commands that are not done.
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
    let refused = world.enqueue(&locked).await;
    world.settle().await;
    world.submitter = hasty_submitter(&world, SubmitterSettings::default());
    let dead = world.enqueue(&activate("SG")).await;
    world.devnet.faults().refuse_what_holds(&dead.to_string(), 400, "no");
    fail_until_dead(&mut world, dead).await;
    world.devnet.faults().clear();
    let withdrawn = world.enqueue(&activate("AD")).await;
    post(&world.gx.admin, &token, &format!("outbox/{withdrawn}/discard"), 200).await;
    world.settle().await;
    // One waits for the resume, and one behind it.
    world.enqueue(&Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }).await;
    world.settle().await;
    let blocked = world.enqueue(&activate("MY")).await;
    world.settle().await;
    let behind = world.enqueue(&later_treasury_command()).await;
    world.submit().await;
    // One stays SUBMITTED, because no block is made.
    world.devnet.faults().hold_commits();
    let resume = world.enqueue(&Command::ResumeSystem {}).await;
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
        run_until(&world, &metrics, &line).await;
    }
    let rendered = metrics.render();
    assert!(rendered.contains("gx_ledger_attempts_open 1"), "{rendered}");
    let age = rendered
        .lines()
        .find_map(|line| line.strip_prefix("gx_ledger_attempt_oldest_open_age_seconds "));
    assert!(age.is_some_and(|seconds| seconds != "0"), "{rendered}");
}

/// Returns another command of the treasury that waits.
fn later_treasury_command() -> Command {
    Command::Transfer {
        from: "treasury_MY".parse().unwrap(),
        to: "SYSTEM_GX_POOL".parse().unwrap(),
        amount: gx_model::Qirat::gx(1),
        tx_type: None,
    }
}

/// Returns whether a listed command says how it ended or what it waits for.
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

/// Removes the row of a person's country, or puts it back.
async fn set_country(world: &World, person: &Person, is_there: bool) {
    let sql = if is_there {
        r#"UPDATE "LedgerCountry" SET "countryCode" = "nationalityCountryCode"
           FROM "UserProfile" WHERE "profileId" = $1 AND "countryCode" = 'lost'"#
    } else {
        r#"UPDATE "LedgerCountry" SET "countryCode" = 'lost'
           FROM "UserProfile"
           WHERE "profileId" = $1 AND "countryCode" = "nationalityCountryCode""#
    };
    let done = sqlx::query(sql).bind(&person.profile_id).execute(world.database.pool()).await;
    assert_eq!(done.unwrap().rows_affected(), 1);
}

/// G9, PRJ-01, PRJ-15: an event that cannot be applied is listed with its reason and holds back
/// nothing else; once the cause is removed an administrator has the projector replay it, which is
/// audited, and nothing is left.
#[tokio::test]
async fn dead_events_are_listed_and_replayed_by_an_administrator() {
    let mut world = World::start().await;
    let lost = world.gx.register(1).await;
    world.gx.submit(&lost).await;
    let token = world.admin_token().await;
    world.gx.approve(&token, &lost).await.expect(200);
    set_country(&world, &lost, false).await;
    world.settle().await;
    set_country(&world, &lost, true).await;
    let other = world.participant(2).await;
    // The grant of the first person is missing, and the next one of the country is there.
    assert_eq!(world.gx.balance(&other).await, "500");
    assert_eq!(world.gx.balance(&lost).await, "0");

    let held = get(&world.gx.admin, &token, "dead-events?state=HELD").await;
    let names: Vec<_> = held["items"].as_array().unwrap().iter().map(|e| &e["eventName"]).collect();
    assert_eq!(names, ["GenesisDistributed"], "{held}");
    for event in held["items"].as_array().unwrap() {
        assert!(event["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{event}");
    }
    let projection = get(&world.gx.admin, &token, "projection").await;
    assert_eq!(projection["channels"][0]["heldEvents"], names.len());

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
