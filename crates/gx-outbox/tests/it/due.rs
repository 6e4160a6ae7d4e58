//! A scan for due commands reads about as many rows as it returns, and a change as many as it
//! names, however many commands wait.

use std::collections::HashSet;

use gx_db::testing::TestDatabase;
use gx_db::{PgConnection, StoredCommandId};
use gx_model::{Clock, EntryOutcome, SignerRole};
use gx_outbox::failure::RetryPolicy;
use gx_outbox::projector::{BlockResults, CommandResult, EnvelopeResult};
use gx_outbox::submitter::{LANES, Marks, NewAttempt, Purpose};
use sqlx::Connection as _;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::table_stats::rows_read;

const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
const LIMIT: i64 = 200;

/// Adds pending commands, each of its own account, spread over some lanes.
async fn pending(conn: &mut PgConnection, count: i64, lanes: i64) {
    let sql = r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole",
            "aggregateKey", lane, touches, "requestedBy", "nextAttemptAt", "createdAt", "updatedAt")
        SELECT gen_random_uuid(), 'PAUSE_SYSTEM', '{}', 'SUPER_ADMIN', n::text, n % $2, ARRAY[n::text],
               'a test', $3, $3, $3
        FROM generate_series(1, $1) AS n"#;
    sqlx::query(sql).bind(count).bind(lanes).bind(NOW).execute(conn).await.unwrap();
}

/// Makes a database in which everything is settled and the statistics say so.
async fn quiet_hour(conn: &mut PgConnection) {
    pending(conn, 1_000, i64::from(LANES)).await;
    settle_all(conn).await;
    sqlx::raw_sql("ANALYZE").execute(conn).await.unwrap();
}

async fn settle_all(conn: &mut PgConnection) {
    let settle = r#"UPDATE "OutboxCommand" SET status = 'REFUSED', "settledAt" = "createdAt""#;
    sqlx::raw_sql(settle).execute(conn).await.unwrap();
}

#[tokio::test]
async fn after_a_quiet_hour_a_scan_reads_at_most_8_rows_for_each_command_found() {
    for used_lanes in [i64::from(LANES), 10, 1] {
        let db = TestDatabase::create().await;
        let mut conn = db.connection().await;
        quiet_hour(&mut conn).await;
        pending(&mut conn, 5_000, used_lanes).await;
        let all = i64::from(LANES);
        let until = NOW + std::time::Duration::from_secs(60);
        let lease = gx_outbox::submitter::lease(&mut conn, "one", all, NOW, until).await.unwrap();
        let before = rows_read(&mut conn).await;
        let mut tx = gx_outbox::submitter::begin(&mut conn).await.unwrap();
        let (mut marks, clock) = (Marks::default(), Clock::manual(NOW));
        let due = gx_outbox::submitter::due_commands(&mut tx, &lease, &mut marks, &clock, LIMIT)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(i64::try_from(due.len()), Ok(LIMIT));
        let read = rows_read(&mut conn).await - before;
        assert!(read <= 8 * LIMIT, "{read} rows were read for {LIMIT} in {used_lanes} lanes");
    }
}

/// Statements that were prepared, and planned, while the outbox was nearly empty read as few rows
/// after it has grown.
#[tokio::test]
async fn plans_of_an_empty_outbox_do_not_outlive_it() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    let mut outbox = Sender::new(&mut conn).await;
    for _ in 0..10 {
        pending(&mut conn, 1, 1).await;
        outbox.send(&mut conn, 1).await;
        settle_all(&mut conn).await;
    }
    pending(&mut conn, 20_000, i64::from(LANES)).await;
    let before = rows_read(&mut conn).await;
    let sent = outbox.send(&mut conn, LIMIT).await;
    let read = rows_read(&mut conn).await - before;
    assert!(sent > 0, "nothing was sent");
    assert!(read <= 16 * LIMIT, "{read} rows were read to send {sent} commands");
}

/// Sends due commands as the submitter does, with one connection.
struct Sender {
    lease: gx_outbox::submitter::Lease,
    marks: Marks,
    clock: Clock,
    sent: u32,
}

impl Sender {
    async fn new(conn: &mut PgConnection) -> Self {
        let until = NOW + std::time::Duration::from_secs(60);
        let lease = gx_outbox::submitter::lease(conn, "one", LANES.into(), NOW, until);
        let lease = lease.await.unwrap();
        Self { lease, marks: Marks::default(), clock: Clock::manual(NOW), sent: 0 }
    }

    /// Stores an envelope with due commands and returns their number.
    async fn send(&mut self, conn: &mut PgConnection, limit: i64) -> usize {
        let (lease, marks) = (&self.lease, &mut self.marks);
        let mut tx = gx_outbox::submitter::begin(conn).await.unwrap();
        let due = gx_outbox::submitter::due_commands(&mut tx, lease, marks, &self.clock, limit);
        let due = due.await.unwrap();
        let batches =
            gx_outbox::submitter::form_batches(due, &Default::default(), Default::default(), 1);
        let batch = &batches[0];
        let mut tried = gx_outbox::submitter::start_try(&mut tx, batch, NOW).await.unwrap();
        tx.commit().await.unwrap();
        self.sent += 1;
        let attempt = NewAttempt {
            tx_id: &format!("tx {}", self.sent).into(),
            purpose: Purpose::Execute,
            signer: SignerRole::Admin,
            genesis_hash: b"genesis",
            envelope: b"envelope",
            command_ids: &batch.ids(),
            after: &batch.after(),
            touches: &[],
        };
        gx_outbox::submitter::store_attempt(conn, lease, &mut tried, attempt, NOW, NOW)
            .await
            .unwrap()
            .unwrap();
        batch.ids().len()
    }
}

#[tokio::test]
async fn after_a_quiet_hour_a_change_reads_at_most_5_rows_for_each_command() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    quiet_hour(&mut conn).await;
    pending(&mut conn, 5_000, i64::from(LANES)).await;
    let held = r#"UPDATE "OutboxCommand" SET status = 'HELD' WHERE number > 5000"#;
    sqlx::query(held).execute(&mut conn).await.unwrap();
    let until = NOW + std::time::Duration::from_secs(60);
    let lease =
        gx_outbox::submitter::lease(&mut conn, "one", LANES.into(), NOW, until).await.unwrap();
    let (mut marks, clock) = (Marks::default(), Clock::manual(NOW));
    let due = gx_outbox::submitter::due_commands(&mut conn, &lease, &mut marks, &clock, LIMIT)
        .await
        .unwrap();
    let batches =
        gx_outbox::submitter::form_batches(due, &Default::default(), Default::default(), 1);
    let ids = batches[0].ids();
    let mut tried = gx_outbox::submitter::start_try(&mut conn, &batches[0], NOW).await.unwrap();
    let attempt = NewAttempt {
        tx_id: &"tx".to_owned().into(),
        purpose: Purpose::Execute,
        signer: SignerRole::Admin,
        genesis_hash: b"genesis",
        envelope: b"envelope",
        command_ids: &ids,
        after: &batches[0].after(),
        touches: &[],
    };
    let before = rows_read(&mut conn).await;
    gx_outbox::submitter::store_attempt(&mut conn, &lease, &mut tried, attempt, NOW, NOW)
        .await
        .unwrap()
        .unwrap();
    let entry = |id: &StoredCommandId| CommandResult {
        command_id: id.parse().unwrap(),
        outcome: &EntryOutcome::Applied {},
        tx_id: "tx",
        block_number: 7,
    };
    let results = BlockResults {
        entries: ids[2..].iter().map(entry).collect(),
        envelopes: vec![EnvelopeResult { tx_id: "tx", block_number: 7, invalid: None }],
        took_effect: HashSet::new(),
    };
    let mut tx = conn.begin().await.unwrap();
    let settled = gx_outbox::projector::settle(
        &mut tx,
        &results,
        &RetryPolicy::default(),
        &mut rand::rng(),
        NOW,
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(usize::try_from(settled.moved), Ok(ids.len() - 2));
    let (named, read) = (i64::try_from(ids.len()).unwrap(), rows_read(&mut conn).await - before);
    assert!(read <= 5 * named, "{read} rows were read to send and settle {named} commands");
}
