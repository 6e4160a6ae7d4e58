//! The lag is computed from heights, never from the age of the last block that was applied.

use std::time::Duration;

use gx_db::PgConnection;
use gx_db::testing::TestDatabase;
use gx_outbox::tip::{Lag, lag, record};
use time::OffsetDateTime;
use time::macros::datetime;

const CHANNEL: &str = "gxchannel";
const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
const FRESH: Duration = Duration::from_secs(10);

async fn checkpoint(conn: &mut PgConnection, number: i64, at: OffsetDateTime) {
    sqlx::query(
        r#"INSERT INTO "ProjectorState" VALUES ($1, 'g', $2, 'h', $3)
           ON CONFLICT (channel) DO UPDATE SET "blockNumber" = $2, "updatedAt" = $3"#,
    )
    .bind(CHANNEL)
    .bind(number)
    .bind(at)
    .execute(conn)
    .await
    .unwrap();
}

fn known(blocks: u64, seconds: u64) -> Lag {
    Lag::Known { blocks, age: Duration::from_secs(seconds) }
}

/// RDY-02: an idle ledger has no lag, even if the checkpoint is thirty days old.
#[tokio::test]
async fn an_idle_ledger_has_no_lag() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    checkpoint(&mut conn, 41, NOW - time::Duration::days(30)).await;
    record(&mut conn, CHANNEL, 42, "test", NOW - time::Duration::days(30)).await.unwrap();
    record(&mut conn, CHANNEL, 42, "test", NOW).await.unwrap();
    assert_eq!(lag(&mut conn, CHANNEL, FRESH, NOW).await.unwrap(), known(0, 0));
}

/// RDY-02: if no worker has reached the ledger recently, the lag is unknown, never zero.
#[tokio::test]
async fn a_ledger_out_of_reach_has_an_unknown_lag() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    let nobody = lag(&mut conn, CHANNEL, FRESH, NOW).await.unwrap();
    assert!(matches!(nobody, Lag::Unknown { .. }), "{nobody:?}");
    checkpoint(&mut conn, 41, NOW).await;
    record(&mut conn, CHANNEL, 42, "test", NOW).await.unwrap();
    let later = NOW + time::Duration::seconds(11);
    let Lag::Unknown { reason } = lag(&mut conn, CHANNEL, FRESH, later).await.unwrap() else {
        panic!("the last contact is too old");
    };
    assert!(reason.contains("2026-06-01 12:00:00"), "{reason}");
}

/// The lag is the age of the oldest sample above the checkpoint and shrinks as blocks are applied.
/// Samples below the checkpoint are deleted.
#[tokio::test]
async fn lag_is_the_age_of_the_oldest_block_that_waits() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    checkpoint(&mut conn, 9, NOW).await;
    for (height, second) in [(10, 0), (12, 5), (15, 8)] {
        let at = NOW + time::Duration::seconds(second);
        record(&mut conn, CHANNEL, height, "test", at).await.unwrap();
    }
    let later = NOW + time::Duration::seconds(9);
    assert_eq!(lag(&mut conn, CHANNEL, FRESH, later).await.unwrap(), known(5, 4));
    checkpoint(&mut conn, 11, later).await;
    assert_eq!(lag(&mut conn, CHANNEL, FRESH, later).await.unwrap(), known(3, 1));
    checkpoint(&mut conn, 14, later).await;
    record(&mut conn, CHANNEL, 15, "test", later).await.unwrap();
    assert_eq!(lag(&mut conn, CHANNEL, FRESH, later).await.unwrap(), known(0, 0));
    let kept: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "LedgerTip""#)
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(kept, 1);
}
