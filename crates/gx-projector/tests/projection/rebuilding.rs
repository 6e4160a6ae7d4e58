//! The read model is a function of the chain.

use gx_db::testing::TestDatabase;
use gx_model::{Clock, Qirat};
use gx_projector::Progress;
use time::macros::datetime;

use crate::snapshot::{assert_same, everything, read_model};
use crate::waiting::BOUND;
use crate::workload::{a_little_of_everything, people};
use crate::world::{World, checkpoint};

/// G3, PRJ-07: after a mixed workload, a replay from block 0 into another database, under a
/// clock of another year, gives every projected table row for row.
#[tokio::test]
async fn g3_a_replay_under_another_clock_gives_equal_rows() {
    let world = World::start().await;
    let other = TestDatabase::create().await;
    for person in people() {
        person.clone().approved_in(world.pool()).await;
        person.approved_in(other.pool()).await;
    }
    let mut live = world.projector();
    world.catch_up(&mut live).await;
    a_little_of_everything(&world).await;
    world.catch_up(&mut live).await;

    let long_after = Clock::manual(datetime!(2031-05-05 05:05 UTC));
    world.catch_up(&mut world.projector_into(other.pool(), long_after)).await;
    let rows = read_model(&mut world.conn().await).await;
    assert_same(&rows, &read_model(&mut other.connection().await).await);
    for (table, rows) in rows.iter().filter(|(table, _)| **table != "EventDLQ") {
        assert!(!rows.is_empty(), "the workload left {table} empty");
    }
    assert!(rows["EventDLQ"].is_empty(), "{:?}", rows["EventDLQ"]);
}

/// PRJ-08: the whole ledger is replayed twice over live tables: no balance, no row, no
/// status of an account, a command or an attempt is another one afterwards.
#[tokio::test]
async fn prj_08_replaying_the_ledger_over_live_tables_changes_nothing() {
    let world = World::start().await;
    for person in people() {
        person.approved_in(world.pool()).await;
    }
    a_little_of_everything(&world).await;
    let mut projector = world.projector();
    world.catch_up(&mut projector).await;
    projector.stop();
    let live = everything(&mut world.conn().await).await;
    for _ in 0..2 {
        sqlx::query(r#"DELETE FROM "ProjectorState""#).execute(world.pool()).await.unwrap();
        let mut again = world.projector();
        let applied = world.catch_up(&mut again).await;
        assert!(applied.iter().all(|block| block.events == 0), "{applied:?}");
        again.stop();
        assert_same(&live, &everything(&mut world.conn().await).await);
    }
}

/// G4: at every block from the bootstrap on, wallets and pools of the read model sum to the
/// supply and none is negative; and the chain says the same of each pool at the end.
#[tokio::test]
async fn g4_wallets_and_pools_sum_to_the_supply_at_every_block() {
    let world = World::start().await;
    for person in people() {
        person.approved_in(world.pool()).await;
    }
    a_little_of_everything(&world).await;
    let tip = world.tip().await;
    let mut projector = world.projector();
    let mut with_supply = 0;
    while checkpoint(world.pool()).await != Some(tip) {
        let progress = projector.step(BOUND).await.unwrap();
        assert!(matches!(progress, Progress::Began { .. } | Progress::Applied(_)));
        if world.count(r#"SELECT count(*) FROM "LedgerPool""#).await == 0 {
            continue;
        }
        let sum = r#"SELECT ((SELECT sum(balance) FROM "PoolBalance")
            + (SELECT coalesce(sum(balance), 0) FROM "Wallet"))::bigint"#;
        assert_eq!(world.count(sum).await, Qirat::SUPPLY.get(), "{progress:?}");
        let least = r#"SELECT least((SELECT min(balance) FROM "PoolBalance"),
            (SELECT min(balance) FROM "Wallet"))"#;
        assert!(world.count(least).await >= 0, "{progress:?}");
        with_supply += 1;
    }
    assert!(with_supply > 12, "only {with_supply} blocks had a supply");
    pools_are_those_of_the_chain(&world).await;
}

async fn pools_are_those_of_the_chain(world: &World) {
    let answer = world.ledger.evaluate("TokenomicsContract:GetPoolStatus", &[]).await.unwrap();
    let mut on_chain: Vec<String> = serde_json::from_slice::<Vec<serde_json::Value>>(&answer)
        .unwrap()
        .iter()
        .map(|pool| {
            let text = |key: &str| pool[key].as_str().unwrap().to_owned();
            format!("{} {}", text("poolId"), text("balance"))
        })
        .collect();
    on_chain.sort();
    let here = r#"SELECT concat_ws(' ', "poolId", balance) FROM "PoolBalance" ORDER BY 1"#;
    let mut here = world.texts(here).await;
    here.sort();
    assert_eq!(here, on_chain);
}
