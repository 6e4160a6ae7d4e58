//! Whatever moment the projector dies in, a block is applied whole or not at all.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use gx_db::testing::TestDatabase;
use gx_fabric_client::Block;
use gx_model::EventRecord;
use gx_outbox::RetryPolicy;
use gx_projector::{ProjectorError, Rules, apply_block};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use time::macros::datetime;

use crate::chain::{CHAINCODE, CHANNEL};
use crate::handmade::{applied, block, story_events};

const NOW: time::OffsetDateTime = datetime!(2026-06-01 00:00 UTC);
const ROUNDS: u32 = 50;
const BLOCKS: u64 = 11;

/// Polls the inner future a number of times; then the process is dead.
struct Mortal<F> {
    inner: Pin<Box<F>>,
    polls_left: u32,
}

impl<F: Future> Future for Mortal<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls_left == 0 {
            return Poll::Ready(None);
        }
        self.polls_left -= 1;
        self.inner.as_mut().poll(cx).map(Some)
    }
}

/// Block 0 brings supply and a country; every other block five events about one person.
fn chain() -> Vec<Block> {
    let base: Vec<Value> = story_events().into_iter().take(2).collect();
    let mut blocks = vec![block(0, &[applied(0, &base)])];
    for n in 1..=BLOCKS {
        let id = format!("MY 463 AUN834 0QKZB {n:04}");
        let total = |per_person: u64| (per_person * n).to_string();
        let event = |name: &str, aggregates: Value, data: Value| json!({ "name": name, "version": 1, "aggregates": aggregates, "data": data });
        let events = [
            event("UserCreated", json!([id]), json!({ "userId": id, "nationality": "MY" })),
            event(
                "GenesisDistributed",
                json!([id, "treasury_MY"]),
                json!({ "userId": id, "nationality": "MY", "phase": 1, "amount": "500000000",
                        "treasuryAmount": "50000000", "refusal": null, "balance": "500000000",
                        "treasuryBalance": total(50_000_000), "countryUsers": n,
                        "countryUserTotal": total(500_000_000),
                        "countryTreasuryTotal": total(50_000_000) }),
            ),
            event(
                "TransferCompleted",
                json!([id, "SYSTEM_LOAN_POOL"]),
                json!({ "from": id, "to": "SYSTEM_LOAN_POOL", "amount": "1000000", "fee": "0",
                        "txType": null, "fromBalance": "499000000", "toBalance": "1" }),
            ),
            event(
                "WalletFrozen",
                json!([id]),
                json!({ "userId": id, "reasonCode": "COURT_ORDER" }),
            ),
            event("WalletUnfrozen", json!([id]), json!({ "userId": id })),
        ];
        blocks.push(block(n, &[applied(u32::try_from(n).unwrap(), &events)]));
    }
    blocks
}

async fn database() -> TestDatabase {
    let db = TestDatabase::create().await;
    for n in 1..=BLOCKS {
        sqlx::query(
            r#"WITH p AS (
                   INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                       "passwordHash", "dateOfBirth", gender, status, "onchainStatus",
                       "createdAt", "updatedAt")
                   VALUES ($1, 'A', 'B', $1 || '@gxtest.com', 'x', '1992-08-20', 'female',
                           'APPROVED_PENDING_ONCHAIN', 'PENDING', $3, $3)
                   RETURNING "profileId")
               INSERT INTO "FabricIdReservation" SELECT $2, "profileId", $2, $3 FROM p"#,
        )
        .bind(format!("profile-{n}"))
        .bind(format!("MY 463 AUN834 0QKZB {n:04}"))
        .bind(NOW)
        .execute(db.pool())
        .await
        .unwrap();
    }
    db
}

async fn rows(db: &TestDatabase) -> Vec<Value> {
    let mut tables = Vec::new();
    for select in crate::chain::PROJECTED {
        let sql = format!(
            "SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)::text), '[]')
             FROM ({select}) AS t"
        );
        let sql = sqlx::AssertSqlSafe(sql);
        tables.push(sqlx::query_scalar(sql).fetch_one(db.pool()).await.unwrap());
    }
    tables
}

/// What is there of each block: its events logged, and the checkpoint.
async fn halves(db: &TestDatabase) -> Vec<(i64, i64)> {
    sqlx::query_as(
        r#"SELECT "blockNumber", count(*) FROM "EventLog" WHERE "blockNumber" > 0
           GROUP BY 1 HAVING count(*) <> 5
           UNION ALL
           SELECT "blockNumber", -1 FROM "ProjectorState"
           WHERE "blockNumber" <> coalesce((SELECT max("blockNumber") FROM "EventLog"), 0)"#,
    )
    .fetch_all(db.pool())
    .await
    .unwrap()
}

/// PRJ-09: killed at random points inside five-event blocks, fifty rounds; the final state
/// equals an uninterrupted run.
#[tokio::test]
async fn a_killed_projector_never_leaves_half_a_block() {
    let rules = Rules {
        channel: CHANNEL.to_owned(),
        chaincode: CHAINCODE.to_owned(),
        decode: EventRecord::decode,
        retry: RetryPolicy::default(),
    };
    let blocks = chain();
    let whole = database().await;
    let mut rng = StdRng::seed_from_u64(3);
    // How long a life must be to apply a block, so that deaths fall all over it.
    let mut longest = 0;
    for block in &blocks {
        let mut conn = whole.connection().await;
        let inner = Box::pin(apply_block(&mut conn, block, &rules, &mut rng, NOW));
        let mut life = Mortal { inner, polls_left: u32::MAX };
        (&mut life).await.unwrap().unwrap();
        longest = longest.max(u32::MAX - life.polls_left);
    }
    let expected = rows(&whole).await;

    let mut db = database().await;
    let mut random = StdRng::seed_from_u64(9);
    let (mut next, mut kills) = (0, 0);
    while kills < ROUNDS || next < blocks.len() {
        // Once enough died, the rest lives.
        let polls_left = if kills < ROUNDS { random.random_range(0..longest) } else { u32::MAX };
        let Some(block) = blocks.get(next) else {
            // All are there: the next life begins over.
            assert_eq!(rows(&db).await, expected);
            (db, next) = (database().await, 0);
            continue;
        };
        let mut conn = db.connection().await;
        let life = apply_block(&mut conn, block, &rules, &mut rng, NOW);
        match (Mortal { inner: Box::pin(life), polls_left }).await {
            None => kills += 1,
            Some(Ok(_)) | Some(Err(ProjectorError::CheckpointMoved)) => next += 1,
            Some(Err(error)) => panic!("{error:?}"),
        }
        drop(conn);
        if next > 0 {
            assert_eq!(halves(&db).await, []);
        }
    }
    assert_eq!(rows(&db).await, expected);
}
