//! A database that fails ends no command: a submitter that keeps running withdraws its own tries.

use std::time::Duration;

use gx_model::SignerRole;
use gx_outbox::submitter::{BatchLimits, Marks, NewAttempt, Purpose, StoreOutcome};
use gx_submitter::SubmitterError;

use crate::chain::{BOUND, create};
use crate::desk::{Desk, crowd, settings, submitter};

/// Makes storing an envelope fail, for one command or for all.
async fn break_storing(desk: &Desk, state: &str, only: Option<&str>) {
    let condition = match only {
        Some(id) => format!(r#"WHEN ('{id}' = ANY(NEW."commandIds"))"#),
        None => String::new(),
    };
    desk.chain
        .sql(&format!(
            r#"CREATE OR REPLACE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$;
               CREATE OR REPLACE TRIGGER broken BEFORE INSERT ON "LedgerAttempt" FOR EACH ROW
                   {condition} EXECUTE FUNCTION broken()"#
        ))
        .await;
}

async fn committed(desk: &Desk) -> String {
    desk.chain.one(r#"SELECT count(*) FROM "OutboxCommand" WHERE status = 'COMMITTED'"#).await
}

const UNTOUCHED: &str = r#"SELECT count(*) FROM "OutboxCommand"
    WHERE status = 'PENDING' AND failures = '{}' AND attempts = 0 AND together IS NULL"#;

/// OUT-16: storing fails twenty times because of memory, locks or timeouts: nothing is charged, and
/// everything commits afterwards.
#[tokio::test]
async fn storing_that_fails_twenty_times_charges_nothing() {
    let mut desk = Desk::open().await;
    let people = crowd(&desk.chain, 0, 6).await;
    desk.enqueue_creations(&people).await;
    for round in 0..20 {
        let states = ["53200", "53100", "55P03", "57014", "40P01"];
        break_storing(&desk, states[round % states.len()], None).await;
        let error = desk.submitter.step().await.unwrap_err();
        assert!(matches!(error, SubmitterError::Database(_)), "{error:?}");
        assert_eq!(desk.chain.one(UNTOUCHED).await, "6");
    }
    desk.chain.sql(r#"DROP TRIGGER broken ON "LedgerAttempt""#).await;
    desk.drain().await;
    assert_eq!(committed(&desk).await, "6");
    assert_eq!(desk.effects("UserCreated").await, (6, 6));
    assert_eq!(desk.chain.one(r#"SELECT count(*) FROM "OutboxTry""#).await, "0");
    let failures = r#"SELECT count(*) FROM "OutboxCommand" WHERE failures <> '{}'"#;
    assert_eq!(desk.chain.one(failures).await, "0");
}

/// OUT-16: only a try that another process finds is charged, and only to a command that was alone.
#[tokio::test]
async fn a_try_that_another_process_finds_is_charged() {
    let mut desk = Desk::open().await;
    let people = crowd(&desk.chain, 0, 5).await;
    for (round, people) in [&people[..1], &people[1..]].into_iter().enumerate() {
        let ids = desk.enqueue_creations(people).await;
        let faults = desk.chain.devnet.faults();
        faults.delay_endorsements(Duration::from_secs(5));
        let tries = r#"SELECT count(*) FROM "OutboxTry""#;
        let begun = async {
            while desk.chain.one(tries).await != "1" {
                tokio::task::yield_now().await;
            }
        };
        // The process ends in the middle of a try, and another one begins.
        tokio::select! {
            _ = desk.submitter.step() => panic!("the step ended"),
            begun = tokio::time::timeout(BOUND, begun) => begun.unwrap(),
        }
        faults.delay_endorsements(Duration::ZERO);
        desk.submitter = submitter(&desk.chain, settings("one"));
        desk.drain().await;
        for id in ids {
            assert_eq!(desk.status(id).await, "COMMITTED");
            let expected = if round == 0 { r#"{"INTERRUPTED": 1}"# } else { "{}" };
            assert_eq!(desk.column(id, "failures").await, expected);
        }
    }
}

/// OUT-16: the database fails so thoroughly that not even the end of a try can be recorded. The
/// process lives on and takes the try back with its next claim: its lone command is not charged
/// like one that another life has left behind.
#[tokio::test]
async fn a_try_whose_end_cannot_be_recorded_is_taken_back() {
    let mut desk = Desk::open().await;
    let people = crowd(&desk.chain, 0, 1).await;
    let ids = desk.enqueue_creations(&people).await;
    break_storing(&desk, "53100", None).await;
    desk.chain
        .sql(
            r#"CREATE TRIGGER broken BEFORE UPDATE OR DELETE ON "OutboxTry" FOR EACH ROW
                   EXECUTE FUNCTION broken()"#,
        )
        .await;
    let tries = r#"SELECT count(*) FROM "OutboxTry""#;
    desk.submitter.step().await.unwrap_err();
    assert_eq!(desk.chain.one(tries).await, "1");
    desk.chain
        .sql(r#"DROP TRIGGER broken ON "OutboxTry"; DROP TRIGGER broken ON "LedgerAttempt""#)
        .await;
    desk.drain().await;
    assert_eq!(desk.status(ids[0]).await, "COMMITTED");
    assert_eq!(desk.column(ids[0], "failures").await, "{}");
    assert_eq!(desk.chain.one(tries).await, "0");
}

/// OUT-16: if one of several commands cannot be stored, it alone is charged and ends dead.
#[tokio::test]
async fn a_command_that_cannot_be_stored_is_charged_alone() {
    let mut desk = Desk::open().await;
    let people = crowd(&desk.chain, 0, 12).await;
    let ids = desk.enqueue_creations(&people).await;
    break_storing(&desk, "23514", Some(&ids[7].to_string())).await;
    desk.until_dead(ids[7]).await;
    desk.drain().await;
    assert_eq!(committed(&desk).await, "11");
    assert_eq!(desk.column(ids[7], "failures").await, r#"{"STORAGE": 2}"#);
    assert!(desk.column(ids[7], "lastError").await.contains("cannot be stored"));
    let failures = r#"SELECT count(*) FROM "OutboxCommand" WHERE failures <> '{}'"#;
    assert_eq!(desk.chain.one(failures).await, "1");
    // It was never sent, so an operator can retry it once the cause is gone.
    desk.chain.sql(r#"DROP TRIGGER broken ON "LedgerAttempt""#).await;
    let now = desk.chain.clock.now();
    gx_outbox::operator::retry(&mut desk.conn().await, ids[7], now).await.unwrap();
    desk.drain().await;
    assert_eq!(committed(&desk).await, "12");
}

/// OUT-16: the database refuses every envelope, with an error that could be the data's: what fails
/// alone is not charged while nothing else is stored either, and everything commits afterwards.
#[tokio::test]
async fn a_database_that_stores_nothing_charges_nobody() {
    let mut desk = Desk::open().await;
    let people = crowd(&desk.chain, 0, 3).await;
    desk.enqueue_creations(&people).await;
    break_storing(&desk, "23514", None).await;
    let tries = r#"SELECT count(*) FROM "OutboxCommand" WHERE attempts > 0"#;
    let deadline = tokio::time::Instant::now() + BOUND;
    // Each is tried alone, though all together are tried more and more seldom.
    while desk.chain.one(tries).await != "3" {
        let _ = desk.submitter.step().await;
        assert!(tokio::time::Instant::now() < deadline, "{}", desk.everything().await);
    }
    let charged = r#"SELECT count(*) FROM "OutboxCommand" WHERE failures <> '{}'"#;
    assert_eq!(desk.chain.one(charged).await, "0", "{}", desk.everything().await);
    desk.chain.sql(r#"DROP TRIGGER broken ON "LedgerAttempt""#).await;
    desk.drain().await;
    assert_eq!(committed(&desk).await, "3");
}

/// OUT-16: a command whose own row cannot be changed, so that it cannot be charged, holds back no
/// other command.
#[tokio::test]
async fn a_row_that_cannot_be_changed_stops_nothing_else() {
    let mut desk = Desk::open().await;
    let people = crowd(&desk.chain, 0, 5).await;
    let ids = desk.enqueue_creations(&people).await;
    desk.chain
        .sql(&format!(
            r#"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'; END $$;
               CREATE TRIGGER broken BEFORE UPDATE ON "OutboxCommand" FOR EACH ROW
                   WHEN (OLD."commandId" = '{}') EXECUTE FUNCTION broken()"#,
            ids[2]
        ))
        .await;
    let deadline = tokio::time::Instant::now() + BOUND;
    while committed(&desk).await != "4" {
        desk.submitter.step().await.unwrap();
        let _ = desk.projector.step(Duration::from_millis(5)).await;
        assert!(tokio::time::Instant::now() < deadline, "{}", desk.everything().await);
    }
    assert_eq!(desk.status(ids[2]).await, "PENDING");
    let later = crowd(&desk.chain, 5, 1).await;
    let later = desk.enqueue_creations(&later).await;
    while desk.status(later[0]).await != "COMMITTED" {
        desk.submitter.step().await.unwrap();
        let _ = desk.projector.step(Duration::from_millis(5)).await;
        assert!(tokio::time::Instant::now() < deadline, "{}", desk.everything().await);
    }
}

/// OUT-16: if a connection is cut in the middle of COMMIT and the envelope was not stored, its
/// commands are sent again without a charge.
#[tokio::test]
async fn a_connection_cut_at_commit_charges_nothing() {
    let mut desk = Desk::open().await;
    let people = crowd(&desk.chain, 0, 3).await;
    desk.enqueue_creations(&people).await;
    desk.chain
        .sql(
            r#"CREATE SEQUENCE cuts;
               CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   IF nextval('cuts') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid());
                   END IF;
                   RETURN NULL; END $$;
               CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON "LedgerAttempt"
                   DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut()"#,
        )
        .await;
    desk.submitter.step().await.unwrap_err();
    assert_eq!(desk.chain.one(UNTOUCHED).await, "3");
    assert_eq!(desk.chain.one(r#"SELECT count(*) FROM "OutboxTry""#).await, "0");
    desk.drain().await;
    assert_eq!(committed(&desk).await, "3");
}

/// OUT-16: the connection breaks while the server is still at COMMIT. A submitter that asks for
/// the result waits until the server is done. If the envelope was stored, it is open and its try
/// is over; otherwise the command is PENDING again without a charge.
#[tokio::test]
async fn the_end_of_a_running_commit_is_waited_for() {
    for (is_stored, end, after) in [
        (true, StoreOutcome::Stored, "SUBMITTED|1|1|0|{}"),
        (false, StoreOutcome::Withdrawn, "PENDING|0|0|0|{}"),
    ] {
        let desk = Desk::open().await;
        let person = desk.chain.person(1).await;
        desk.enqueue_for(&person, &create(&person)).await;
        let (mut conn, now) = (desk.conn().await, desk.chain.clock.now());
        let lease =
            gx_outbox::submitter::lease(&mut conn, "one", 63, now, now + BOUND).await.unwrap();
        let (mut marks, clock) = (Marks::default(), gx_model::Clock::manual(now));
        let due =
            gx_outbox::submitter::due_commands(&mut conn, &lease, &mut marks, &clock, 10).await;
        let batches = gx_outbox::submitter::form_batches(
            due.unwrap(),
            &Default::default(),
            BatchLimits::default(),
            1,
        );
        let mut tried = gx_outbox::submitter::start_try(&mut conn, &batches[0], now).await.unwrap();
        let ids = batches[0].ids();
        let new = NewAttempt {
            tx_id: &"tx1".to_owned().into(),
            purpose: Purpose::Execute,
            signer: SignerRole::Admin,
            genesis_hash: b"genesis",
            envelope: b"envelope",
            command_ids: &ids,
            after: &batches[0].after(),
            touches: &batches[0].touches(),
        };
        // The client of this session is gone, and its transaction has not ended.
        let mut server = sqlx::Connection::begin(&mut conn).await.unwrap();
        let stored =
            gx_outbox::submitter::store_attempt(&mut server, &lease, &mut tried, new, now, now);
        assert_eq!(stored.await.unwrap(), Ok(()));

        let mut other = desk.conn().await;
        let asking = tokio::spawn(async move {
            let tx_id = "tx1".to_owned().into();
            gx_outbox::submitter::resolve_lost_commit(&mut other, &mut tried, &tx_id, &ids).await
        });
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting = async {
            while desk.chain.one(waits).await != "1" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(BOUND, waiting).await.expect("the other session waits");
        if is_stored {
            server.commit().await.unwrap();
        } else {
            server.rollback().await.unwrap();
        }
        let learnt = tokio::time::timeout(BOUND, asking).await.unwrap().unwrap().unwrap();
        assert_eq!(learnt, end);
        let rows = r#"SELECT concat_ws('|', status, attempts,
                          (SELECT count(*) FROM "LedgerAttempt" WHERE "settledAt" IS NULL),
                          (SELECT count(*) FROM "OutboxTry"), failures)
                      FROM "OutboxCommand""#;
        assert_eq!(desk.chain.one(rows).await, after);
    }
}
