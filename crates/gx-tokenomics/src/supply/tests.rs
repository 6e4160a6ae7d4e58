//! Supply and treasuries, through the router.

use gx_auth::testing::TestHost;
use serde_json::json;

use crate::service;

#[tokio::test]
async fn an_empty_ledger_has_no_supply_and_no_treasury() {
    let host = TestHost::new(service).await;
    let answer = host.get("/api/v1/supply", "").await;
    let expected =
        json!({ "total": "0", "users": "0", "treasuries": "0", "pools": [], "asOfBlock": null });
    assert_eq!(answer.json, expected);
    for path in ["/api/v1/treasury/MY", "/api/v1/treasury/nonsense", "/api/v1/treasury/%C3%A9"] {
        let answer = host.get(path, "").await;
        assert_eq!((answer.code(), answer.problem()), (404, "no_treasury"), "{path}");
    }
}

#[tokio::test]
async fn the_supply_is_the_sum_of_pools_people_and_treasuries() {
    let host = TestHost::new(service).await;
    let pool = host.database.pool();
    for statement in [
        r#"INSERT INTO "LedgerPool" VALUES ('SYSTEM_USER_GENESIS_POOL', 1000000000)"#,
        r#"INSERT INTO "LedgerCountry" ("countryCode", name, "sharePpb", users, "userTotal",
               "treasuryTotal") VALUES ('MY', 'Malaysia', 1, 1, 500000000, 0)"#,
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, balance, "isLocked", "lastTxId",
               "asOfBlock", "createdAt", "updatedAt")
           VALUES ('t', 'treasury_MY', 'TREASURY', 50000000, true, 'tx', 3, now(), now())"#,
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
    let answer = host.get("/api/v1/supply", "").await;
    assert_eq!(answer.json["total"], "550");
    assert_eq!(answer.json["treasuries"], "50");
    assert_eq!(answer.json["pools"][0]["balance"], "500");
    // The supply is counted again after each block.
    sqlx::query(r#"UPDATE "Wallet" SET balance = 0"#).execute(pool).await.unwrap();
    sqlx::query(
        r#"INSERT INTO "ProjectorState" (channel, "genesisHash", "blockNumber", "blockHash",
               "updatedAt") VALUES ('gxchannel', '', 4, '', now())"#,
    )
    .execute(pool)
    .await
    .unwrap();
    assert_eq!(host.get("/api/v1/supply", "").await.json["total"], "500");
    sqlx::query(r#"UPDATE "Wallet" SET balance = 50000000"#).execute(pool).await.unwrap();
    let answer = host.get("/api/v1/treasury/my", "").await;
    assert_eq!(answer.json["accountId"], "treasury_MY");
    assert_eq!((&answer.json["balance"], &answer.json["isLocked"]), (&json!("50"), &json!(true)));
}
