//! Both loops as they run in production.

use std::sync::Arc;
use std::time::Duration;

use gx_devnet::TxValidationCode;
use gx_outbox::enqueue::Waker;
use gx_outbox::sync_points::SyncPoints;
use gx_projector::ProjectorSettings;
use gx_serve::HealthBoard;
use gx_submitter::SubmitterSettings;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chain::{BOUND, Chain, create, grant};
use crate::desk::{Desk, crowd, settings, submitter};

/// An approval's commands reach the wallet by a notification, long before a poll; at shutdown both
/// loops end with no lane leased (RDY-06).
#[tokio::test]
async fn an_approval_reaches_the_wallet_unpolled_and_the_loops_stop_cleanly() {
    let desk = Desk::open().await;
    let stop = CancellationToken::new();
    let board = HealthBoard::new("projector", desk.chain.clock.clone());
    let rng = StdRng::seed_from_u64(8);
    let project = gx_projector::run(
        desk.projector,
        ProjectorSettings::default(),
        rng,
        stop.clone(),
        board.clone(),
    );
    let project = tokio::spawn(project);
    // No poll comes within the time limit of the test.
    let slow_poll = SubmitterSettings { poll_ms: 3_600_000, ..settings("one") };
    let submit_board = HealthBoard::new("outbox-submitter", desk.chain.clock.clone());
    let submit = submitter(&desk.chain, slow_poll);
    let submit = tokio::spawn(gx_submitter::run(submit, stop.clone(), submit_board.clone()));
    wait_until(&desk.chain, "listening", || async {
        let listening = r#"SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND query LIKE '%LISTEN%'"#;
        desk.chain.one(listening).await != "0"
            && desk.chain.one(r#"SELECT count(*) FROM "ProjectorState""#).await == "1"
            && serde_json::to_value(submit_board.report().await).unwrap()["status"] == "ready"
    })
    .await;

    let person = desk.chain.person(1).await;
    let waker = Waker::new(desk.chain.db.pool().clone());
    let conn = &mut desk.chain.db.connection().await;
    for command in [create(&person), grant(&person)] {
        let new = gx_outbox::enqueue::NewCommand {
            command_id: crate::chain::fresh_id(),
            command: &command,
            profile_id: Some(&person.profile_id),
            requested_by: "a test",
            request_id: None,
        };
        gx_outbox::enqueue::enqueue(conn, new, desk.chain.clock.now()).await.unwrap();
    }
    waker.wake();
    wait_until(&desk.chain, "a wallet with 500 GX", || async {
        let balance = r#"SELECT balance FROM "Wallet" WHERE kind = 'USER'"#;
        desk.chain.one(balance).await == "500000000"
    })
    .await;

    stop.cancel();
    assert!(tokio::time::timeout(BOUND, submit).await.unwrap().unwrap().is_ok());
    assert!(tokio::time::timeout(BOUND, project).await.unwrap().unwrap().is_ok());
    let leased = r#"SELECT count(*) FROM "OutboxLane" WHERE owner IS NOT NULL"#;
    assert_eq!(desk.chain.one(leased).await, "0");
}

/// A wake-up is not lost: a command commits and its notification is sent after a step has found
/// nothing and before the loop waits.
#[tokio::test]
async fn a_command_that_commits_just_before_the_loop_waits_is_sent_unpolled() {
    let desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let (idle, mut is_idle) = mpsc::unbounded_channel();
    let goes_on = Arc::new(Notify::new());
    let gate = SyncPoints::new({
        let goes_on = Arc::clone(&goes_on);
        move |step| {
            let (idle, goes_on) = (idle.clone(), Arc::clone(&goes_on));
            Box::pin(async move {
                // Later idle steps are not held: nobody receives then.
                if step == "idle" && idle.send(()).is_ok() {
                    goes_on.notified().await;
                }
            })
        }
    });
    // No poll comes within the time limit of the test.
    let slow_poll = SubmitterSettings { poll_ms: 3_600_000, ..settings("one") };
    let submitter = submitter(&desk.chain, slow_poll).with_sync_points(gate);
    let stop = CancellationToken::new();
    let board = HealthBoard::new("outbox-submitter", desk.chain.clock.clone());
    let submit = tokio::spawn(gx_submitter::run(submitter, stop.clone(), board));
    is_idle.recv().await.unwrap();
    drop(is_idle);

    let id = desk.enqueue_for(&person, &create(&person)).await;
    desk.chain.sql("SELECT pg_notify('gx_outbox', '')").await;
    goes_on.notify_one();
    wait_until(&desk.chain, "a sent command", || async { desk.status(id).await == "SUBMITTED" })
        .await;
    stop.cancel();
    assert!(tokio::time::timeout(BOUND, submit).await.unwrap().unwrap().is_ok());
}

/// RDY-06: at shutdown while the ledger is slow, the submitter finishes what it began and leaves no
/// lane leased.
#[tokio::test]
async fn a_stop_in_the_middle_of_a_slow_endorsement_leaves_nothing_half_done() {
    let desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    desk.chain.devnet.faults().delay_endorsements(Duration::from_secs(4));
    let stop = CancellationToken::new();
    let board = HealthBoard::new("outbox-submitter", desk.chain.clock.clone());
    let submit = gx_submitter::run(submitter(&desk.chain, settings("one")), stop.clone(), board);
    let submit = tokio::spawn(submit);
    let tries = r#"SELECT count(*) FROM "OutboxTry""#;
    wait_until(&desk.chain, "a try", || async { desk.chain.one(tries).await == "1" }).await;
    assert_eq!(desk.status(id).await, "PENDING");
    stop.cancel();
    assert!(tokio::time::timeout(BOUND, submit).await.unwrap().unwrap().is_ok());
    assert_eq!(desk.status(id).await, "SUBMITTED");
    let leased = r#"SELECT count(*) FROM "OutboxLane" WHERE owner IS NOT NULL"#;
    assert_eq!(desk.chain.one(leased).await, "0");
}

/// A lost reply is no longer reported as a failure once its transaction is in a block, even if
/// nothing is submitted after it.
#[tokio::test]
async fn a_lost_reply_is_not_reported_once_its_transaction_is_settled() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    desk.chain.devnet.faults().drop_submit_replies(1);
    let stop = CancellationToken::new();
    let board = HealthBoard::new("outbox-submitter", desk.chain.clock.clone());
    // The transaction is settled long before it would be sent again.
    let patient = SubmitterSettings { resend_ms: 600_000, ..settings("one") };
    let submit = submitter(&desk.chain, patient);
    let submit = tokio::spawn(gx_submitter::run(submit, stop.clone(), board.clone()));
    let submission = || async {
        let report = serde_json::to_value(board.report().await).unwrap();
        report["checks"]["submission"].clone()
    };
    wait_until(&desk.chain, "a lost reply", || async {
        submission().await["status"] == "unhealthy"
    })
    .await;
    let projector = &mut desk.projector;
    let settled = format!(r#"SELECT status FROM "OutboxCommand" WHERE "commandId" = '{id}'"#);
    let deadline = Instant::now() + BOUND;
    while desk.chain.one(&settled).await != "COMMITTED" {
        projector.step(Duration::from_millis(100)).await.unwrap();
        assert!(Instant::now() < deadline, "the transaction was not settled");
    }
    wait_until(&desk.chain, "the submission is healthy", || async {
        submission().await["status"] == "healthy"
    })
    .await;
    assert!(submission().await["value"]["lastFailure"]["message"].is_string());
    stop.cancel();
    assert!(tokio::time::timeout(BOUND, submit).await.unwrap().unwrap().is_ok());
}

/// OUT-15: an outage is reported with its code, its beginning and the time of the next probe; the
/// report ends with the first valid transaction.
#[tokio::test]
async fn an_outage_is_reported_until_something_is_valid() {
    let mut desk = Desk::open().await;
    let people = crowd(&desk.chain, 0, 6).await;
    for person in &people {
        desk.enqueue_for(person, &create(person)).await;
    }
    let faults = desk.chain.devnet.faults();
    faults.force_validation_code(100_000, TxValidationCode::InvalidEndorserTransaction);
    let stop = CancellationToken::new();
    let board = HealthBoard::new("outbox-submitter", desk.chain.clock.clone());
    let submit = submitter(&desk.chain, settings("one"));
    let submit = tokio::spawn(gx_submitter::run(submit, stop.clone(), board.clone()));
    let mut submission = async |is_there: fn(&Value) -> bool| {
        let deadline = Instant::now() + BOUND;
        loop {
            let _ = desk.projector.step(Duration::from_millis(20)).await;
            let report = serde_json::to_value(board.report().await).unwrap();
            let check = report["checks"]["submission"].clone();
            if is_there(&check) {
                return check;
            }
            assert!(Instant::now() < deadline, "{check}");
        }
    };
    let check = submission(|check| check["value"]["outage"].is_object()).await;
    assert_eq!(check["status"], "unhealthy", "{check}");
    let outage = &check["value"]["outage"];
    assert_eq!(outage["code"], "INVALID_ENDORSER_TRANSACTION");
    for field in ["since", "nextProbe"] {
        assert!(outage[field].as_str().is_some_and(|at| at.starts_with("20")), "{outage}");
    }
    assert!(check["message"].as_str().unwrap().contains("INVALID_ENDORSER_TRANSACTION"), "{check}");
    faults.clear();
    submission(|check| check["status"] == "healthy").await;
    let done = r#"SELECT count(*) FROM "OutboxCommand" WHERE status = 'COMMITTED'"#;
    let deadline = Instant::now() + BOUND;
    while desk.chain.one(done).await != "6" {
        let _ = desk.projector.step(Duration::from_millis(20)).await;
        assert!(Instant::now() < deadline, "{}", desk.everything().await);
    }
    stop.cancel();
    assert!(tokio::time::timeout(BOUND, submit).await.unwrap().unwrap().is_ok());
}

/// RDY-07: every connection to the database is cut several times, and the ledger goes away in
/// between; both loops continue by themselves and the backlog is sent.
#[tokio::test]
async fn the_loops_outlive_cut_connections_and_a_ledger_that_goes_away() {
    let mut desk = Desk::open().await;
    desk.projector.stop();
    let stop = CancellationToken::new();
    let board = HealthBoard::new("outbox-submitter", desk.chain.clock.clone());
    let submit = gx_submitter::run(submitter(&desk.chain, settings("one")), stop.clone(), board);
    let submit = tokio::spawn(submit);
    let board = HealthBoard::new("projector", desk.chain.clock.clone());
    let (rng, parts) = (StdRng::seed_from_u64(8), ProjectorSettings::default());
    let project = gx_projector::run(desk.chain.projector(), parts, rng, stop.clone(), board);
    let project = tokio::spawn(project);
    let faults = desk.chain.devnet.faults();
    let cut = r#"SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()"#;
    for n in 0..6 {
        let person = desk.chain.person(n).await;
        desk.enqueue_for(&person, &create(&person)).await;
        desk.enqueue_for(&person, &grant(&person)).await;
        faults.refuse_connections(n % 2 == 0);
        // The connection that cuts the others belongs to neither loop.
        let mut conn = desk.chain.db.connection().await;
        sqlx::query(cut).execute(&mut conn).await.unwrap();
    }
    faults.refuse_connections(false);
    wait_until(&desk.chain, "twelve committed commands", || async {
        let done = r#"SELECT count(*) FROM "OutboxCommand" WHERE status = 'COMMITTED'"#;
        desk.chain.one(done).await == "12"
    })
    .await;
    assert!(!submit.is_finished());
    assert!(!project.is_finished());
    assert_eq!(desk.effects("UserCreated").await, (6, 6));
    assert_eq!(desk.effects("GenesisDistributed").await, (6, 6));
    stop.cancel();
    assert!(tokio::time::timeout(BOUND, submit).await.unwrap().unwrap().is_ok());
    assert!(tokio::time::timeout(BOUND, project).await.unwrap().unwrap().is_ok());
}

async fn wait_until<F: Future<Output = bool>>(
    chain: &Chain,
    what: &str,
    mut look: impl FnMut() -> F,
) {
    let deadline = Instant::now() + BOUND;
    while !look().await {
        let now = chain.clock.now();
        assert!(Instant::now() < deadline, "waited in vain until {now} for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
