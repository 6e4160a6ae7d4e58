//! Guards that are backed by others, each tested where no other guard helps: the compare-and-set of
//! the checkpoint on blocks without events, and an envelope that was sent again while its attempt
//! is still open. The simulation finds neither if it is broken.

use std::sync::Arc;
use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_devnet::BlockCutting;
use gx_fabric_client::{Block, ValidationCode};
use gx_model::{BatchCommand, Command, EventRecord};
use gx_outbox::enqueue::{NewCommand, enqueue};
use gx_outbox::failure::RetryPolicy;
use gx_outbox::sync_points::SyncPoints;
use gx_projector::{Applied, ApplySettings, Progress, Projector, ProjectorError, apply_block};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use sqlx::Connection as _;
use time::macros::datetime;
use tokio::sync::Semaphore;

use crate::chain::{BOUND, CHAINCODE, CHANNEL, Chain, create_id, fresh_id, transfer};
use crate::handmade::{applied, block, story_events};

const NOW: time::OffsetDateTime = datetime!(2026-06-01 00:00 UTC);
/// The transaction in block 1 that carries the command.
const TX_ID: &str = "tx-1-0";

async fn apply(db: &TestDatabase, block: &Block) -> Result<Applied, ProjectorError> {
    let settings = ApplySettings {
        channel: CHANNEL.to_owned(),
        chaincode: CHAINCODE.to_owned(),
        decode: EventRecord::decode,
        retry: RetryPolicy::default(),
    };
    let (mut conn, mut rng) = (db.connection().await, StdRng::seed_from_u64(3));
    apply_block(&mut conn, block, &settings, &mut rng, NOW).await
}

/// Returns a database at block 0 with one command in an open attempt.
async fn one_command_under_way() -> TestDatabase {
    let db = TestDatabase::create().await;
    apply(&db, &block(0, &[])).await.unwrap();
    let (mut conn, command_id) = (db.connection().await, create_id(1));
    let payer = "MY 463 AUN834 0QKZB 0001";
    let command = transfer(payer, "MY 463 AUN834 0QKZB 0002", 1);
    let new = NewCommand {
        command_id,
        command: &command,
        profile_id: None,
        requested_by: "a test",
        request_id: None,
    };
    enqueue(&mut conn, new, NOW).await.unwrap();
    sqlx::query(r#"UPDATE "OutboxCommand" SET status = 'SUBMITTED', "txId" = $1, attempts = 1"#)
        .bind(TX_ID)
        .execute(&mut conn)
        .await
        .unwrap();
    sqlx::query(
        r#"INSERT INTO "LedgerAttempt" ("txId", purpose, "genesisHash", envelope, "commandIds",
                                        touches, sends, "nextSendAt", "createdAt")
           VALUES ($1, 'EXECUTE', $2, $2, ARRAY[$3], ARRAY[$4], 1, $5, $5)"#,
    )
    .bind(TX_ID)
    .bind(vec![7_u8; 32])
    .bind(command_id.to_string())
    .bind(payer)
    .bind(NOW)
    .execute(&mut conn)
    .await
    .unwrap();
    db
}

/// Returns an event that defers a command and has no domain event.
fn deferred(command: u32) -> Value {
    json!({ "version": 1, "entries": [{
        "commandId": create_id(command).to_string(),
        "outcome": { "status": "DEFERRED", "prerequisite": { "kind": "SYSTEM_BOOTSTRAPPED" } },
        "events": [],
    }]})
}

fn bootstrap() -> Value {
    let mut events = story_events().into_iter();
    applied(9, &[events.find(|event| event["name"] == "SystemBootstrapped").unwrap()])
}

/// Returns every row of the tables that blocks change, with the times at which they were written.
async fn every_row(db: &TestDatabase) -> String {
    sqlx::query_scalar(
        r#"SELECT concat((SELECT jsonb_agg(to_jsonb(c) ORDER BY number) FROM "OutboxCommand" c),
                         (SELECT jsonb_agg(to_jsonb(a) ORDER BY "txId") FROM "LedgerAttempt" a),
                         (SELECT jsonb_agg(to_jsonb(e) ORDER BY "blockNumber", "eventIndex")
                          FROM "EventLog" e),
                         (SELECT jsonb_agg(to_jsonb(p)) FROM "ProjectorState" p))"#,
    )
    .fetch_one(db.pool())
    .await
    .unwrap()
}

async fn status(db: &TestDatabase) -> String {
    let sql = r#"SELECT status FROM "OutboxCommand""#;
    sqlx::query_scalar(sql).fetch_one(db.pool()).await.unwrap()
}

/// PRJ-10, PRJ-16, G2: a block that contains only a deferral and is applied again by a projector
/// that was overtaken is rejected and changes nothing. Neither the event log nor a final status
/// would stop it: it would block a command that was released since, and move the checkpoint back.
#[tokio::test]
async fn an_overtaken_projector_does_not_apply_a_settlement_again() {
    let db = one_command_under_way().await;
    let (deferral, release) = (block(1, &[deferred(1)]), block(2, &[bootstrap()]));
    apply(&db, &deferral).await.unwrap();
    assert_eq!(status(&db).await, "BLOCKED");
    apply(&db, &release).await.unwrap();
    assert_eq!(status(&db).await, "PENDING");

    let before = every_row(&db).await;
    let again = apply(&db, &deferral).await;
    assert!(matches!(again, Err(ProjectorError::CheckpointMoved)), "{again:?}");
    assert_eq!(every_row(&db).await, before);
}

/// PRJ-10, PRJ-16: if two projectors apply the same block without events at the same time, one
/// succeeds; the other waits for the checkpoint's row and is rejected.
#[tokio::test]
async fn of_two_projectors_inside_a_block_without_events_one_applies_it() {
    let db = one_command_under_way().await;
    let deferral = block(1, &[deferred(1)]);
    let mut holder = db.connection().await;
    let mut holds = holder.begin().await.unwrap();
    let hold = r#"SELECT 1 FROM "ProjectorState" FOR UPDATE"#;
    sqlx::query(hold).execute(&mut *holds).await.unwrap();
    let let_go = async {
        tokio::time::timeout(BOUND, both_wait(&db)).await.expect("both wait for the checkpoint");
        holds.rollback().await.unwrap();
    };
    let (one, other, ()) = tokio::join!(apply(&db, &deferral), apply(&db, &deferral), let_go);
    let (applied, refused) = if one.is_ok() { (one, other) } else { (other, one) };
    assert_eq!(applied.unwrap().settled, 1);
    assert!(matches!(refused, Err(ProjectorError::CheckpointMoved)), "{refused:?}");
    assert_eq!(status(&db).await, "BLOCKED");
}

async fn both_wait(db: &TestDatabase) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(db.pool()).await.unwrap() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns a projector that stops at a step of the protocol until the test lets it continue.
fn held_at(step: &'static str, projector: Projector) -> (Projector, [Arc<Semaphore>; 2]) {
    let (arrived, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let gates = [Arc::clone(&arrived), Arc::clone(&go)];
    let probe = SyncPoints::new(move |at| {
        let (arrived, go) = (Arc::clone(&arrived), Arc::clone(&go));
        Box::pin(async move {
            if at == step {
                arrived.add_permits(1);
                go.acquire().await.unwrap().forget();
            }
        })
    });
    (projector.with_sync_points(probe), gates)
}

/// PRJ-10, PRJ-16: a leader that was stopped after it received a block, while another one took the
/// lead and applied it, is rejected when it wakes up, changes nothing and steps down. The block has
/// no event.
#[tokio::test]
async fn a_leader_that_slept_over_a_block_without_events_steps_down() {
    let chain = Chain::cutting(BlockCutting::Manual).await;
    let (mut sleeper, [arrived, go]) = held_at("received", chain.projector().with_max_blocks(1));
    assert!(matches!(sleeper.step(BOUND).await.unwrap(), Progress::Began { number: 0 }));
    // No person was created, so the ledger defers or refuses the payment without an event.
    let payment = transfer("MY 463 AUN834 0QKZB 0001", "MY 463 AUN834 0QKZB 0002", 1);
    chain_takes(&chain, &payment).await;
    let asleep = tokio::spawn(async move {
        let woken = sleeper.step(BOUND).await;
        (woken, sleeper)
    });
    arrived.acquire().await.unwrap().forget();

    chain
        .sql(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
             WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await;
    let mut successor = chain.projector();
    chain.catch_up(&mut successor).await;
    let before = chain.rows().await;
    let moved_at = chain.one(r#"SELECT "updatedAt" FROM "ProjectorState""#).await;
    go.add_permits(1);
    let (woken, mut sleeper) = asleep.await.unwrap();
    assert!(matches!(woken, Err(ProjectorError::CheckpointMoved)), "{woken:?}");
    assert_eq!(chain.rows().await, before);
    assert_eq!(chain.one(r#"SELECT "updatedAt" FROM "ProjectorState""#).await, moved_at);
    assert_eq!(sleeper.step(Duration::ZERO).await.unwrap(), Progress::Standby);
    assert_eq!(chain.one(r#"SELECT count(*) FROM "EventLog""#).await, "0");
}

/// Makes one block with this command.
async fn chain_takes(chain: &Chain, command: &Command) {
    let (tx_id, envelope) = chain.endorse(&[BatchCommand::new(fresh_id(), command)]).await;
    chain.ledger.submit(&tx_id, &envelope).await.unwrap();
    chain.devnet.cut_block().await.unwrap();
}

/// FAB-07, G2: DUPLICATE_TXID, the validation code of an envelope that was sent again, says nothing
/// about the attempt. An open attempt stays open, its command stays SUBMITTED and is not charged,
/// and no transaction counts as invalid.
#[tokio::test]
async fn a_duplicate_of_an_open_attempt_settles_nothing() {
    let db = one_command_under_way().await;
    let mut duplicate = block(1, &[applied(1, &[])]);
    duplicate.transactions[0].code = ValidationCode::DUPLICATE_TXID;
    let before = command_and_attempt(&db).await;
    let said = apply(&db, &duplicate).await.unwrap();
    assert_eq!(command_and_attempt(&db).await, before);
    assert_eq!(before, "SUBMITTED 1 {} OPEN");
    assert_eq!((said.invalid.as_slice(), said.settled, said.transactions), (&[][..], 0, 0));
}

/// FAB-07, G2: the same after the valid transaction in the same block: the attempt is VALID, the
/// command ends with the first outcome, and the second transaction does not count as invalid.
#[tokio::test]
async fn a_duplicate_behind_the_valid_one_changes_nothing() {
    let db = one_command_under_way().await;
    let mut twice = block(1, &[applied(1, &[]), applied(1, &[])]);
    twice.transactions[1].tx_id = TX_ID.to_owned();
    twice.transactions[1].code = ValidationCode::DUPLICATE_TXID;
    let said = apply(&db, &twice).await.unwrap();
    assert_eq!(command_and_attempt(&db).await, "COMMITTED 1 {} VALID");
    assert_eq!((said.invalid.as_slice(), said.settled, said.transactions), (&[][..], 1, 1));
}

async fn command_and_attempt(db: &TestDatabase) -> String {
    sqlx::query_scalar(
        r#"SELECT concat_ws(' ', status, attempts, failures, state)
           FROM "OutboxCommand", "LedgerAttempt""#,
    )
    .fetch_one(db.pool())
    .await
    .unwrap()
}
