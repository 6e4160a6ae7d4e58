//! Blocks are applied in order, from block 0, on the chain of this database.

use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_fabric_client::Block;
use gx_model::EventRecord;
use gx_outbox::failure::RetryPolicy;
use gx_projector::{ApplySettings, Halt, ProjectorError, apply_block};
use rand::SeedableRng;
use rand::rngs::StdRng;
use time::macros::datetime;

use crate::chain::{CHAINCODE, CHANNEL, Chain};
use crate::handmade::block;

const NOW: time::OffsetDateTime = datetime!(2026-06-01 00:00 UTC);

fn settings() -> ApplySettings {
    ApplySettings {
        channel: CHANNEL.to_owned(),
        chaincode: CHAINCODE.to_owned(),
        decode: EventRecord::decode,
        retry: RetryPolicy::default(),
    }
}

async fn apply(db: &TestDatabase, number: u64) -> Result<(), ProjectorError> {
    apply_as_is(db, &block(number, &[])).await
}

async fn apply_as_is(db: &TestDatabase, block: &Block) -> Result<(), ProjectorError> {
    let mut rng = StdRng::seed_from_u64(3);
    let mut conn = db.connection().await;
    apply_block(&mut conn, block, &settings(), &mut rng, NOW).await.map(drop)
}

async fn checkpoint(db: &TestDatabase) -> Option<i64> {
    let sql = r#"SELECT "blockNumber" FROM "ProjectorState""#;
    sqlx::query_scalar(sql).fetch_optional(db.pool()).await.unwrap()
}

/// PRJ-06: an empty read model does not begin at block 89.
#[tokio::test]
async fn an_empty_read_model_begins_at_block_zero_only() {
    let db = TestDatabase::create().await;
    let error = apply(&db, 89).await.unwrap_err();
    assert!(matches!(error, ProjectorError::Halted(Halt::NotFromZero { number: 89 })), "{error:?}");
    assert_eq!(checkpoint(&db).await, None);
}

/// PRJ-06: block 7 after block 5 is a gap that halts the projector with a message; the checkpoint
/// stays.
#[tokio::test]
async fn a_gap_halts_and_leaves_the_checkpoint() {
    let db = TestDatabase::create().await;
    for number in 0..=5 {
        apply(&db, number).await.unwrap();
    }
    let error = apply(&db, 7).await.unwrap_err();
    let gap = Halt::Gap { expected: 6, found: 7 };
    assert!(matches!(&error, ProjectorError::Halted(halt) if *halt == gap), "{error:?}");
    let text = gap.to_string();
    assert!(
        text.starts_with("block 7 came where block 6 was due, so it was not applied"),
        "{text}"
    );
    assert_eq!(checkpoint(&db).await, Some(5));
    apply(&db, 6).await.unwrap();
}

/// A block with the right number that does not continue the last one is rejected.
#[tokio::test]
async fn a_block_of_another_past_is_refused() {
    let db = TestDatabase::create().await;
    apply(&db, 0).await.unwrap();
    let mut stranger = block(1, &[]);
    stranger.previous_hash[9] ^= 1;
    let error = apply_as_is(&db, &stranger).await.unwrap_err();
    assert!(matches!(error, ProjectorError::Halted(Halt::Broken { number: 1 })), "{error:?}");
    assert_eq!(checkpoint(&db).await, Some(0));
}

/// PRJ-10: a projector that wrongly assumes that it leads cannot apply a block twice.
#[tokio::test]
async fn a_block_is_applied_once_by_any_projector() {
    let db = TestDatabase::create().await;
    apply(&db, 0).await.unwrap();
    apply(&db, 1).await.unwrap();
    for number in [0, 1] {
        let error = apply(&db, number).await.unwrap_err();
        assert!(matches!(error, ProjectorError::CheckpointMoved), "{error:?}");
    }
    let (first, second) = tokio::join!(apply(&db, 2), apply(&db, 2));
    assert_eq!([first.is_ok(), second.is_ok()].into_iter().filter(|ok| *ok).count(), 1);
}

/// PRJ-06: a checkpoint whose events the read model lacks is rejected at the start.
#[tokio::test]
async fn a_checkpoint_over_an_emptied_read_model_is_refused() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    projector.stop();
    chain.sql(r#"TRUNCATE "EventLog""#).await;
    let mut next = chain.projector();
    let refused = async {
        loop {
            // The server may take a moment to notice that the first projector is gone.
            match next.step(Duration::ZERO).await {
                Ok(progress) => assert_eq!(progress, gx_projector::Progress::Standby),
                Err(error) => return error,
            }
        }
    };
    let error = tokio::time::timeout(crate::chain::BOUND, refused).await.unwrap();
    let ProjectorError::Halted(Halt::EmptyReadModel { checkpoint: 1, block: 1 }) = error else {
        panic!("{error:?}");
    };
}

/// Another chain at the same address is recognised by its block 0, and a chain that diverged later
/// by the checkpoint's block.
#[tokio::test]
async fn another_chain_is_refused_by_name() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    projector.stop();
    for column in ["blockHash", "genesisHash"] {
        let kept = chain.one(&format!(r#"SELECT "{column}" FROM "ProjectorState""#)).await;
        let other =
            format!(r#"UPDATE "ProjectorState" SET "{column}" = decode(repeat('ab', 32), 'hex')"#);
        chain.sql(&other).await;
        // A client that does not know what the peer showed before.
        let ledger = chain.ledger_at(&chain.devnet.endpoint());
        let mut projector = chain.projector_on(ledger);
        let deadline = tokio::time::Instant::now() + crate::chain::BOUND;
        let error = loop {
            match projector.step(Duration::from_millis(50)).await {
                Ok(_) => assert!(tokio::time::Instant::now() < deadline, "{column}"),
                Err(error) => break error,
            }
        };
        let ProjectorError::Halted(Halt::Chain(wrong)) = error else { panic!("{error:?}") };
        assert!(wrong.to_string().starts_with("another chain: block "), "{wrong}");
        projector.stop();
        chain.sql(&format!(r#"UPDATE "ProjectorState" SET "{column}" = '{kept}'"#)).await;
    }
}
