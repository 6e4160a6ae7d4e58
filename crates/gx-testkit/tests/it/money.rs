//! Money is neither made nor lost.

use gx_model::Qirat;
use gx_testkit::World;
use sqlx::PgPool;

/// Returns the sum of all balances in the read model, in Qirat.
async fn total(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        r#"SELECT ((SELECT coalesce(sum(balance), 0) FROM "Wallet")
                 + (SELECT coalesce(sum(balance), 0) FROM "PoolBalance"))::bigint"#,
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// G4: from the block of SystemBootstrapped on, pools and wallets hold the whole supply after every
/// block, in the read model and on the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn the_whole_supply_is_accounted_for_after_every_block() {
    let mut world = World::start().await;
    assert_eq!(total(world.database.pool()).await, Qirat::SUPPLY.get());
    for n in 1..=5 {
        let person = world.gx.register(n).await;
        world.gx.submit(&person).await;
        world.gx.approve(&world.admin_token().await, &person).await.expect(200);
        world.submit().await;
        world.projector.step(std::time::Duration::from_secs(120)).await.unwrap();
        assert_eq!(total(world.database.pool()).await, Qirat::SUPPLY.get(), "after person {n}");
    }
    world.settle().await;

    let supply = world.ledger.evaluate("TokenomicsContract:GetSupplyStatus", &[]).await.unwrap();
    let supply: serde_json::Value = serde_json::from_slice(&supply).unwrap();
    let texts = supply.to_string();
    assert!(texts.contains(&Qirat::SUPPLY.to_string()), "{texts}");
    let treasury = world.gx.tokenomics.get("/api/v1/treasury/MY", &world.gx.log_in(1).await).await;
    assert_eq!(treasury.expect(200).str("/balance"), "250");
}

/// DB-06: an amount is the same on the ledger, in the database and in the answer to a person, to
/// the last Qirat.
#[tokio::test(flavor = "multi_thread")]
async fn an_amount_is_the_same_on_the_ledger_in_the_database_and_for_people() {
    let mut world = World::start().await;
    let person = world.participant(1).await;
    let id = world.gx.wallet(&person).await.unwrap().str("/fabricUserId").to_owned();
    let of_person = std::slice::from_ref(&id);
    let on_ledger =
        world.ledger.evaluate("TokenomicsContract:GetBalance", of_person).await.unwrap();
    let on_ledger: serde_json::Value = serde_json::from_slice(&on_ledger).unwrap();
    assert_eq!(on_ledger["balance"], "500000000", "{on_ledger}");

    for (qirat, text) in [(0, "0"), (1, "0.000001"), (Qirat::SUPPLY.get(), "1250000000000")] {
        world.falsify_balance(&person, qirat).await;
        assert_eq!(world.gx.balance(&person).await, text);
    }
}
