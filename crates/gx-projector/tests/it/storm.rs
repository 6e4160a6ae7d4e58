//! Many events that cannot be applied: the number of locks is constant, and other work continues.

use std::ops::RangeInclusive;
use std::time::Duration;

use gx_auth::audit::Actor;
use gx_db::PgConnection;
use gx_db::testing::TestDatabase;
use gx_model::{Clock, EventRecord};
use gx_outbox::failure::RetryPolicy;
use gx_outbox::tasks::{self, Task, TaskRow};
use gx_projector::{
    ApplySettings, Correction, Progress, ProjectorError, ReadBlock, Rebuilder, Selection,
    apply_blocks, replay_dead,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use time::macros::datetime;

use crate::chain::{BOUND, CHAINCODE, CHANNEL, Chain, create, grant, mixed_workload, transfer};
use crate::handmade::{applied, block};

const NOW: time::OffsetDateTime = datetime!(2026-06-01 00:00 UTC);
/// Number of events that cannot be applied: more than a server has slots for locks by default.
const MANY: usize = 8_000;
/// Number of dead letters after an incident that was not noticed for a day.
const MASS: usize = 100_000;
/// Number of events in one transaction.
const IN_ONE: usize = 200;
/// Number of locks of a transaction and of the one savepoint that is open at a time.
const FEW_LOCKS: i64 = 8;
const ID: &str = "MY 463 AUN834 0QKZB 0001";

/// Records the locks on transactions that a session holds whenever it has written dead letters.
const COUNT_LOCKS: &str = r#"
    CREATE TABLE held_locks (locks bigint NOT NULL);
    CREATE FUNCTION count_locks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO held_locks SELECT count(*) FROM pg_locks
        WHERE locktype = 'transactionid' AND pid = pg_backend_pid();
        RETURN NULL;
    END $$;
    CREATE TRIGGER count_locks AFTER INSERT OR UPDATE ON "EventDLQ"
        FOR EACH STATEMENT EXECUTE FUNCTION count_locks()"#;

fn settings() -> ApplySettings {
    ApplySettings {
        channel: CHANNEL.to_owned(),
        chaincode: CHAINCODE.to_owned(),
        decode: EventRecord::decode,
        retry: RetryPolicy::default(),
    }
}

fn created(id: &str) -> Value {
    json!({ "name": "UserCreated", "version": 1, "aggregates": [id],
        "data": { "userId": id, "nationality": "MY" } })
}

/// Creates a task for the projector.
async fn ask(conn: &mut PgConnection, task_id: &str, task: Task) {
    tasks::ask(conn, &TaskRow::new(task_id, CHANNEL, task, "admin-1", NOW)).await.unwrap();
}

async fn execute(conn: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await.unwrap();
}

async fn number(conn: &mut PgConnection, sql: &str) -> i64 {
    let sql = format!("SELECT ({sql})::bigint");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(conn).await.unwrap()
}

/// Returns the largest number of locks that was recorded; there must be one.
async fn most_locks(conn: &mut PgConnection) -> i64 {
    assert!(number(conn, "SELECT count(*) FROM held_locks").await > 0);
    number(conn, "SELECT max(locks) FROM held_locks").await
}

/// PRJ-14: 8 000 events that the schema rejects, in one run of blocks and then in one replay: each
/// becomes a dead letter, with few locks at any time, and the events between them are applied.
#[tokio::test]
async fn thousands_of_dead_letters_in_a_run_and_in_a_replay_hold_few_locks() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    execute(&mut conn, COUNT_LOCKS).await;
    // The same person is created again and again.
    let again = |n: u32| applied(n, &vec![created(ID); IN_ONE]);
    let other = "MY 463 AUN834 0QKZB 0002";
    let transactions = u32::try_from(MANY / IN_ONE).unwrap();
    let mut payloads = vec![applied(0, &[created(ID)])];
    payloads.extend((1..=transactions).map(again));
    payloads.insert(10, applied(99, &[created(other)]));
    let blocks = [
        ReadBlock::read(&block(0, &[]), &settings()),
        ReadBlock::read(&block(1, &payloads), &settings()),
    ];
    let mut rng = StdRng::seed_from_u64(1);
    let done = apply_blocks(&mut conn, &blocks, &settings(), &mut rng, NOW).await.unwrap();
    assert_eq!((done.events, done.held.len()), (2, MANY));
    let locks = most_locks(&mut conn).await;
    assert!(locks <= FEW_LOCKS, "{locks} locks in a run");

    execute(&mut conn, "TRUNCATE held_locks").await;
    let report = replay_dead(&mut conn, CHANNEL, Selection::All, EventRecord::decode, NOW).await;
    assert_eq!(report.unwrap().still_held_count, MANY as u64);
    let locks = most_locks(&mut conn).await;
    assert!(locks <= FEW_LOCKS, "{locks} locks in a replay");
}

/// PRJ-14: the correction of a rebuild, which replays 8 000 dead letters in one transaction, holds
/// few locks and corrects what differs.
#[tokio::test]
async fn a_correction_with_thousands_of_dead_letters_holds_few_locks() {
    let chain = Chain::bootstrapped().await;
    let people = mixed_workload(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    let mut conn = chain.db.connection().await;
    let payload = created(&people[0].id.to_string());
    let held = held_rows(1..=MANY, &payload.to_string(), "UserCreated");
    execute(&mut conn, &held).await;
    execute(&mut conn, COUNT_LOCKS).await;
    execute(&mut conn, r#"DELETE FROM "Transaction" WHERE type = 'GENESIS'"#).await;
    let rebuilder = Rebuilder {
        pool: chain.db.pool().clone(),
        ledger: chain.ledger.clone(),
        settings: chain.settings(),
        clock: Clock::manual(NOW),
    };
    let operator = Correction::Apply(Actor::System("operator"));
    let rng = StdRng::seed_from_u64(1);
    let report = rebuilder.run(operator, rng, |_| {}, |_| {}).await.unwrap();
    assert!(report.switched, "{report:?}");
    assert_eq!(report.replayed, 0, "{report:?}");
    let locks = most_locks(&mut conn).await;
    // The correction itself writes within the savepoints of its replays.
    assert!(locks <= FEW_LOCKS, "{locks} locks in a switch");
    let restored = r#"SELECT count(*) FROM "Transaction" WHERE type = 'GENESIS'"#;
    assert_eq!(number(&mut conn, restored).await, 3);
}

/// Returns a statement that adds dead letters of block 1.
fn held_rows(numbers: RangeInclusive<usize>, payload: &str, name: &str) -> String {
    format!(
        r#"INSERT INTO "EventDLQ" (channel, "blockNumber", "txId", "eventIndex", "commandId",
               "txIndex", "eventName", aggregates, reason, payload, "ledgerAt", "createdAt")
           SELECT '{CHANNEL}', 1, 'a-storm', n, 'c-' || n, 7, '{name}', '{{a}}', 'unknown then',
                  '{payload}', '2020-01-01Z', '2020-01-01Z'
           FROM generate_series({}, {}) AS n"#,
        numbers.start(),
        numbers.end()
    )
}

/// PRJ-14: if the server has no room for several blocks at once, they are applied one by one.
#[tokio::test]
async fn a_run_that_exceeds_the_server_is_halved_down_to_one_block() {
    let chain = Chain::bootstrapped().await;
    for n in 1..=12 {
        let person = chain.person(n).await;
        chain.execute(&[create(&person)]).await;
    }
    let mut projector = chain.projector();
    assert_eq!(projector.step(BOUND).await.unwrap(), Progress::Began { number: 0 });
    chain
        .sql(
            r#"CREATE FUNCTION too_much() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   RAISE EXCEPTION 'too much' USING ERRCODE = 'out_of_memory';
               END $$;
               CREATE TRIGGER too_much BEFORE UPDATE ON "ProjectorState" FOR EACH ROW
                   WHEN (NEW."blockNumber" - OLD."blockNumber" > 1)
                   EXECUTE FUNCTION too_much()"#,
        )
        .await;
    let height = chain.height().await;
    let (mut failures, mut applied) = (0, 0);
    while chain.checkpoint().await.is_none_or(|at| at + 1 < height) {
        match projector.step(BOUND).await {
            Ok(Progress::Applied(one)) => {
                assert_eq!(one.blocks, 1);
                applied += 1;
            }
            Err(ProjectorError::Database(_)) => failures += 1,
            other => panic!("{other:?}"),
        }
        assert!(failures <= 4 * 13, "{failures} failures, {applied} blocks");
    }
    assert_eq!(applied, 13);
}

/// PRJ-14: of a hundred thousand dead letters, one is replayed, then all, part by part, while
/// blocks are applied between the parts; none is replayed twice.
#[tokio::test]
async fn a_hundred_thousand_are_replayed_while_blocks_are_applied() {
    let chain = Chain::bootstrapped().await;
    let (ann, ben) = (chain.person(1).await, chain.person(2).await);
    chain.execute(&[create(&ann), grant(&ann), create(&ben), grant(&ben)]).await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let mut conn = chain.db.connection().await;
    let event = json!({ "name": "CommandsCancelled", "version": 1, "aggregates": [],
        "data": { "commandIds": [] } });
    execute(&mut conn, &held_rows(1..=MASS, &event.to_string(), "CommandsCancelled")).await;
    let logged = r#"SELECT count(*) FROM "EventLog" WHERE "txId" = 'a-storm'"#;
    let held = r#"SELECT count(*) FROM "EventDLQ" WHERE state = 'HELD'"#;

    let one: i64 = number(&mut conn, r#"SELECT max("deadEventId") FROM "EventDLQ""#).await;
    ask(&mut conn, "one", Task::ReplayDeadEvents { dead_event_id: Some(one) }).await;
    projector.step(Duration::ZERO).await.unwrap();
    let done = tasks::get(&mut conn, "one").await.unwrap().unwrap();
    assert_eq!(done.report.unwrap()["replayed"], json!([one]));
    assert_eq!(number(&mut conn, logged).await, 1);

    ask(&mut conn, "all", Task::ReplayDeadEvents { dead_event_id: None }).await;
    let (from, to) = (ann.id.to_string(), ben.id.to_string());
    let (mut parts, mut blocks, mut all) = (0, 0, MASS);
    let report = loop {
        if parts % 40 == 20 {
            chain.execute(&[transfer(&from, &to, 1)]).await;
        }
        if blocks < 2 {
            // The task continues at least until blocks were applied between its parts.
            let more = held_rows(all + 1..=all + 500, &event.to_string(), "CommandsCancelled");
            execute(&mut conn, &more).await;
            all += 500;
        }
        if let Progress::Applied(applied) = projector.step(Duration::ZERO).await.unwrap() {
            blocks += applied.blocks;
        }
        parts += 1;
        let row = tasks::get(&mut conn, "all").await.unwrap().unwrap();
        if let Some(report) = row.report {
            break report;
        }
        assert_eq!(row.attempts, 0);
        assert!(parts < 100_000, "{:?}", row.progress);
    };
    assert!(parts > 100 && blocks > 1, "{parts} parts, {blocks} blocks");
    let counts = (&report["replayedCount"], &report["stillHeldCount"]);
    assert_eq!(counts, (&json!(all - 1), &json!(0)));
    assert_eq!(number(&mut conn, logged).await, i64::try_from(all).unwrap());
    assert_eq!(number(&mut conn, held).await, 0);
}

/// PRJ-14: dead letters are counted and replayed by indexes that have no other rows, however many
/// were replayed before.
#[tokio::test]
async fn held_events_are_found_by_indexes_of_their_own() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    execute(&mut conn, &held_rows(1..=MASS, "{}", "x")).await;
    let done = r#"UPDATE "EventDLQ" SET state = 'REPLAYED', "resolvedAt" = "createdAt"
                  WHERE "eventIndex" > 10"#;
    execute(&mut conn, done).await;
    execute(&mut conn, r#"VACUUM ANALYZE "EventDLQ""#).await;
    for sql in [
        r#"SELECT count(*) FROM "EventDLQ" WHERE channel = 'gxchannel' AND state = 'HELD'"#,
        r#"SELECT * FROM "EventDLQ"
           WHERE channel = 'gxchannel' AND state = 'HELD' AND "blockNumber" <= 9
             AND ("blockNumber", "txIndex", "eventIndex") > (0, 0, 0)
           ORDER BY "blockNumber", "txIndex", "eventIndex" LIMIT 500"#,
    ] {
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {sql}")))
            .fetch_all(&mut conn)
            .await
            .unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("EventDLQ_held"), "{plan}");
    }
}
