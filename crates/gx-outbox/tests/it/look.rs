//! A look for work costs what it finds, however much is waiting.

use gx_db::PgConnection;
use gx_db::testing::TestDatabase;
use gx_model::Clock;
use gx_outbox::{LANES, Marks};
use sqlx::Connection as _;
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
const WANTED: i64 = 200;

/// Commands of as many accounts, in so many lanes.
async fn pending(conn: &mut PgConnection, count: i64, lanes: i64) {
    let sql = r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole",
            "aggregateKey", lane, touches, "requestedBy", "nextAttemptAt", "createdAt", "updatedAt")
        SELECT n::text, 'PAUSE_SYSTEM', '{}', 'SUPER_ADMIN', n::text, n % $2, ARRAY[n::text],
               'a test', $3, $3, $3
        FROM generate_series(1, $1) AS n"#;
    sqlx::query(sql).bind(count).bind(lanes).bind(NOW).execute(conn).await.unwrap();
}

async fn rows_read(conn: &mut PgConnection) -> i64 {
    let sql = r#"SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables
                 WHERE relname = 'OutboxCommand'"#;
    sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
}

#[tokio::test]
async fn a_look_reads_a_few_times_what_is_wanted_of_all_that_waits() {
    for used_lanes in [i64::from(LANES), 10, 1] {
        let db = TestDatabase::create().await;
        let mut conn = db.connection().await;
        pending(&mut conn, 5_000, used_lanes).await;
        let all = i64::from(LANES);
        let until = NOW + std::time::Duration::from_secs(60);
        let lease = gx_outbox::lease(&mut conn, "one", all, NOW, until).await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        let before = rows_read(&mut tx).await;
        let (mut marks, clock) = (Marks::default(), Clock::manual(NOW));
        let due =
            gx_outbox::due_commands(&mut tx, &lease, &mut marks, &clock, WANTED).await.unwrap();
        assert_eq!(i64::try_from(due.len()), Ok(WANTED));
        let read = rows_read(&mut tx).await - before;
        assert!(read <= 8 * WANTED, "{read} rows were read for {WANTED} in {used_lanes} lanes");
    }
}
