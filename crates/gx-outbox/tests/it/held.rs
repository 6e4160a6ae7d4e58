//! Releasing held commands costs a limited amount at a time, however many are held.

use std::collections::HashSet;

use gx_db::PgConnection;
use gx_db::testing::TestDatabase;
use gx_model::{CommandId, EntryOutcome};
use gx_outbox::failure::RetryPolicy;
use gx_outbox::projector::{BlockResults, CommandResult, EnvelopeResult};
use gx_outbox::submitter::HeldSweep;
use sqlx::Connection as _;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::table_stats::rows_read;

const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
/// Limit of the rows that one turn may read: those it looks at, those before them, and those it
/// changes.
const MAX_ROWS_READ: i64 = 2_500;

/// Adds commands of the aggregates that `key` names: SQL in which `n` is 1, 2, and so on.
async fn add(conn: &mut PgConnection, count: i64, key: &str, status: &str) {
    let sql = format!(
        r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey",
               lane, touches, "requestedBy", status, "txId", "nextAttemptAt", "createdAt",
               "updatedAt")
           SELECT gen_random_uuid(), 'PAUSE_SYSTEM', '{{}}', 'SUPER_ADMIN', {key}, 0,
                  ARRAY[{key}], 'a test', $2, CASE WHEN $2 = 'SUBMITTED' THEN 'tx' END, $3, $3, $3
           FROM generate_series(1, $1) AS n"#
    );
    let sql = sqlx::AssertSqlSafe(sql);
    sqlx::query(sql).bind(count).bind(status).bind(NOW).execute(conn).await.unwrap();
}

async fn count(conn: &mut PgConnection, condition: &str) -> i64 {
    let sql = format!(r#"SELECT count(*) FROM "OutboxCommand" WHERE {condition}"#);
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(conn).await.unwrap()
}

/// Runs one whole sweep and returns the number of released commands. Each turn is limited.
async fn sweep(conn: &mut PgConnection) -> u64 {
    let (mut sweep, mut released) = (HeldSweep::default(), 0);
    loop {
        let before = rows_read(conn).await;
        let swept = sweep.turn(conn, NOW).await.unwrap();
        let read = rows_read(conn).await - before;
        assert!(
            swept.looked_at <= 500 && read <= MAX_ROWS_READ,
            "{read} rows were read: {swept:?}"
        );
        released += swept.released;
        if swept.is_over {
            return released;
        }
    }
}

/// 100 000 commands are held: behind commands in flight, behind each other, and behind none. Each
/// turn is limited, and all commands that can be released are.
#[tokio::test]
async fn a_sweep_over_100_000_held_commands_is_bounded_and_releases_what_is_free() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    add(&mut conn, 1, "'hot'", "SUBMITTED").await;
    add(&mut conn, 60_000, "'hot'", "HELD").await;
    add(&mut conn, 200, "'busy ' || n", "SUBMITTED").await;
    add(&mut conn, 18_000, "'busy ' || n % 200 + 1", "HELD").await;
    add(&mut conn, 20_000, "'free ' || n", "HELD").await;
    add(&mut conn, 2_000, "'long'", "HELD").await;
    sqlx::raw_sql("ANALYZE").execute(&mut conn).await.unwrap();

    assert_eq!(sweep(&mut conn).await, 20_000 + 500);
    assert_eq!(count(&mut conn, r#"status = 'HELD' AND "aggregateKey" LIKE 'free%'"#).await, 0);
    // While the first commands of an aggregate wait, no other command of it need be released.
    assert_eq!(sweep(&mut conn).await, 0);
    for round in 2..=4 {
        let done = r#"UPDATE "OutboxCommand" SET status = 'COMMITTED', "settledAt" = now()
                      WHERE status = 'PENDING' AND "aggregateKey" = 'long'"#;
        sqlx::raw_sql(done).execute(&mut conn).await.unwrap();
        assert_eq!(sweep(&mut conn).await, 500, "sweep {round}");
    }
    assert_eq!(count(&mut conn, r#"status = 'HELD' AND "aggregateKey" = 'long'"#).await, 0);
    assert_eq!(count(&mut conn, "status = 'HELD'").await, 78_000);
}

/// A command that ends releases the next ones behind it, but not the whole queue at once.
#[tokio::test]
async fn a_head_that_ends_releases_a_bounded_number_of_followers() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    add(&mut conn, 1, "'hot'", "SUBMITTED").await;
    add(&mut conn, 20_000, "'hot'", "HELD").await;
    let head: String =
        sqlx::query_scalar(r#"SELECT "commandId" FROM "OutboxCommand" WHERE status = 'SUBMITTED'"#)
            .fetch_one(&mut conn)
            .await
            .unwrap();
    let head: CommandId = head.parse().unwrap();
    let outcome = EntryOutcome::Applied {};
    let entry = CommandResult { command_id: head, outcome: &outcome, tx_id: "tx", block_number: 7 };
    let results = BlockResults {
        entries: vec![entry],
        envelopes: vec![EnvelopeResult { tx_id: "tx", block_number: 7, invalid: None }],
        took_effect: HashSet::new(),
    };
    let before = rows_read(&mut conn).await;
    let mut tx = conn.begin().await.unwrap();
    let policy = RetryPolicy::default();
    gx_outbox::projector::settle(&mut tx, &results, &policy, &mut rand::rng(), NOW).await.unwrap();
    tx.commit().await.unwrap();
    let read = rows_read(&mut conn).await - before;
    assert!(read <= MAX_ROWS_READ, "{read} rows were read");
    assert_eq!(count(&mut conn, "status = 'PENDING'").await, 500);
}
