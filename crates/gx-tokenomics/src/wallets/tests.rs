//! Wallets and their history, through the router.

use gx_auth::testing::TestHost;
use gx_model::AccountStatus;
use serde_json::json;

use crate::service;

const SARAH: &str = "MY 463 AUN834 0QKZB 5821";

async fn host() -> TestHost {
    TestHost::new(service).await
}

async fn add_wallet(host: &TestHost, profile_id: &str, balance: i64) {
    sqlx::query(
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, "profileId", "fabricUserId",
               balance, "lastTxId", "asOfBlock", "createdAt", "updatedAt")
           VALUES ('w1', $2, 'USER', $1, $2, $3, 'tx', 9007199254740993,
               '2026-03-01T12:00:00Z', '2026-03-01T12:00:00Z')"#,
    )
    .bind(profile_id)
    .bind(SARAH)
    .bind(balance)
    .execute(host.database.pool())
    .await
    .unwrap();
}

#[tokio::test]
async fn a_person_without_a_wallet_gets_no_wallet() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::ApprovedPendingOnchain).await;
    let token = host.session_of(&id).await.access_token;
    for path in ["/api/v1/wallets/me", "/api/v1/wallets/me/transactions"] {
        let answer = host.get(path, &token).await;
        assert_eq!((answer.code(), answer.problem()), (404, "no_wallet"));
        assert_eq!(host.get(path, "").await.code(), 401);
    }
}

/// API-11: block numbers above 2^53 are returned exactly; balances are decimal texts.
#[tokio::test]
async fn a_wallet_shows_balance_pending_and_available() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    add_wallet(&host, &id, 500_000_000).await;
    let token = host.session_of(&id).await.access_token;
    let answer = host.get("/api/v1/wallets/me", &token).await;
    let expected = json!({
        "walletId": "w1", "fabricUserId": SARAH, "balance": "500", "pendingDebits": "0",
        "available": "500", "updatedAt": "2026-03-01T12:00:00.000Z", "asOfBlock": 9_007_199_254_740_993_i64,
    });
    assert_eq!(answer.json, expected);
    for (number, status, amount) in
        [(1, "PENDING", "1500000"), (2, "SUBMITTED", "1000000"), (3, "COMMITTED", "7000000")]
    {
        sqlx::query(
            r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole",
                   "aggregateKey", lane, touches, "requestedBy", status, "txId", "settledAt",
                   "nextAttemptAt", "createdAt", "updatedAt")
               VALUES ($1, 'TRANSFER', $2, 'ADMIN', $3, 0, '{}', 'test', $4, 'tx',
                   CASE $4 WHEN 'COMMITTED' THEN now() END, now(), now(), now())"#,
        )
        .bind(number.to_string())
        .bind(json!({ "from": SARAH, "to": "treasury_MY", "amount": amount, "txType": null }))
        .bind(SARAH)
        .bind(status)
        .execute(host.database.pool())
        .await
        .unwrap();
    }
    let answer = host.get("/api/v1/wallets/me", &token).await;
    assert_eq!(answer.json["pendingDebits"], "2.5");
    assert_eq!(answer.json["available"], "497.5");
}

#[tokio::test]
async fn a_history_is_read_in_pages_the_newest_first() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Frozen).await;
    add_wallet(&host, &id, 1).await;
    let token = host.session_of(&id).await.access_token;
    // Two transactions of one block have the same event index.
    for (id, block, index) in [("a", 5, 0), ("b", 5, 0), ("c", 6, 1), ("d", 6, 0), ("e", 9, 0)] {
        sqlx::query(
            r#"INSERT INTO "Transaction" (id, "onChainTxId", "eventIndex", "accountId",
                   "blockNumber", "commandId", type, direction, counterparty, amount, fee, at)
               VALUES ($1, 'tx' || $1, $2, $3, $4, 'c', 'TRANSFER', 'IN', 'treasury_MY', 12500000,
                   1, '2026-03-01T12:00:00Z')"#,
        )
        .bind(id)
        .bind(index)
        .bind(SARAH)
        .bind(i64::from(block))
        .execute(host.database.pool())
        .await
        .unwrap();
    }
    let (mut seen, mut path) =
        (String::new(), "/api/v1/wallets/me/transactions?limit=2".to_owned());
    loop {
        let answer = host.get(&path, &token).await;
        for item in answer.json["items"].as_array().unwrap() {
            seen.push_str(item["id"].as_str().unwrap());
            assert_eq!((&item["amount"], &item["fee"]), (&json!("12.5"), &json!("0.000001")));
        }
        let Some(cursor) = answer.json["nextCursor"].as_str() else { break };
        path = format!("/api/v1/wallets/me/transactions?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, "ecdba");
}

/// API-11, SEC-API-07: malformed paging is answered with 400.
#[tokio::test]
async fn malformed_paging_is_answered_with_400() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    for limit in ["0", "-1", "1000000000", "2147483648", "ten"] {
        let path = format!("/api/v1/wallets/me/transactions?limit={limit}");
        let answer = host.get(&path, &token).await;
        assert_eq!((answer.code(), answer.pointers()), (400, vec!["/limit"]));
    }
}

/// G6: a frozen person may look, and a denied or locked one may not.
#[tokio::test]
async fn a_wallet_is_shown_by_the_table_of_statuses() {
    let host = host().await;
    for status in AccountStatus::ALL {
        let id = host.add_person(&format!("{status}@gxtest.com").to_lowercase(), status).await;
        let token = host.session_of(&id).await.access_token;
        let refused = [AccountStatus::Denied, AccountStatus::Suspended, AccountStatus::Closed];
        let expected = if refused.contains(&status) { 401 } else { 404 };
        assert_eq!(host.get("/api/v1/wallets/me", &token).await.code(), expected, "{status}");
    }
}
