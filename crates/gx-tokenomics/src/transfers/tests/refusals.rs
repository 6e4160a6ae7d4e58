//! Payers who cannot pay, and receivers who cannot be paid.

use gx_auth::testing::CHANNEL;
use gx_model::{AccountStatus, DenialFinality};
use serde_json::json;

use super::{Payers, SARAH, WEI, add_wallet, order, refusal};

/// G6, OUT-13: a person with a frozen wallet or a pending freeze can look and cannot pay.
#[tokio::test]
async fn a_frozen_wallet_pays_nothing() {
    let payers = Payers::with_balance(100_000_000).await;
    sqlx::query(
        r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey",
               lane, touches, "requestedBy", "nextAttemptAt", "createdAt", "updatedAt")
           VALUES ('f', 'FREEZE_WALLET', '{}', 'ADMIN', $1, 0, '{}', 'test', now(), now(), now())"#,
    )
    .bind(SARAH)
    .execute(payers.host.database.pool())
    .await
    .unwrap();
    assert_eq!(refusal(&payers.pay("k1", "1").await), (409, "wallet_frozen"));
    payers
        .run(
            r#"UPDATE "OutboxCommand" SET status = 'REFUSED', "settledAt" = now()
               WHERE "commandId" = $1"#,
            "f",
        )
        .await;
    assert_eq!(payers.pay("k2", "1").await.code(), 202, "the refused freeze is undone");
    payers.set_status("FROZEN").await;
    assert_eq!(refusal(&payers.pay("k3", "1").await), (409, "wallet_frozen"));
    assert_eq!(payers.wallet().await["balance"], "100");
    payers
        .run(r#"UPDATE "UserProfile" SET "isLocked" = true WHERE "profileId" = $1"#, &payers.sarah)
        .await;
    assert_eq!(payers.pay("k4", "1").await.code(), 401);
}

/// G6: a person who is frozen on the ledger cannot pay, whatever the account's status is.
#[tokio::test]
async fn a_freeze_of_the_ledger_counts_whatever_the_status_is() {
    let payers = Payers::with_balance(100_000_000).await;
    payers
        .run(
            r#"INSERT INTO "LedgerUser" ("fabricUserId", "profileId", "countryCode", "isFrozen",
                   "createdTxId", "createdAt")
               SELECT "fabricUserId", "profileId", 'MY', true, 'tx', now() FROM "Wallet"
               WHERE "accountId" = $1"#,
            SARAH,
        )
        .await;
    assert_eq!(refusal(&payers.pay("k1", "1").await), (409, "wallet_frozen"));
}

/// G6: a denied, suspended or closed account cannot pay with an earlier token.
#[tokio::test]
async fn an_account_that_may_not_sign_in_pays_nothing() {
    let payers = Payers::with_balance(0).await;
    for (number, status) in
        [AccountStatus::Denied, AccountStatus::Suspended, AccountStatus::Closed].iter().enumerate()
    {
        let id = payers.host.add_person(&format!("{number}@gxtest.com"), *status).await;
        let account = format!("MY 463 AUN834 0QKZB 583{number}");
        add_wallet(&payers.host, &id, &account, 100_000_000).await;
        let token = payers.host.session_of(&id).await.access_token;
        let body = json!({ "to": WEI, "amount": "1" });
        assert_eq!(order(&payers.host, &token, "k", &body).await.code(), 401, "{status}");
        if *status == AccountStatus::Denied {
            payers.host.set_denial(&id, DenialFinality::Retry).await;
            assert_eq!(order(&payers.host, &token, "k", &body).await.code(), 403);
        }
    }
    assert_eq!(payers.commands().await, 0);
}

/// FAB-10, API-10: while the ledger is paused, an order is refused with a stable code, and accepted
/// when it is repeated after the resume; an earlier order still gets its answer.
#[tokio::test]
async fn no_order_is_accepted_while_the_system_is_paused() {
    let payers = Payers::with_balance(100_000_000).await;
    assert_eq!(payers.pay("before", "1").await.code(), 202);
    payers
        .run(
            r#"INSERT INTO "LedgerSystem" (channel, "isPaused", "pauseReason")
               VALUES ($1, true, 'DRILL')
               ON CONFLICT (channel) DO UPDATE SET "isPaused" = true, "pauseReason" = 'DRILL'"#,
            CHANNEL,
        )
        .await;
    let answer = payers.pay("during", "1").await;
    assert_eq!(refusal(&answer), (503, "system_paused"));
    assert_eq!(answer.headers["retry-after"], "60");
    assert_eq!(payers.pay("before", "1").await.code(), 202);
    payers.run(r#"UPDATE "LedgerSystem" SET "isPaused" = false WHERE channel = $1"#, CHANNEL).await;
    assert_eq!(payers.pay("during", "1").await.code(), 202);
    assert_eq!(payers.commands().await, 2);
}

#[tokio::test]
async fn a_closed_account_cannot_be_paid_and_without_a_wallet_nobody_pays() {
    let payers = Payers::with_balance(100_000_000).await;
    payers
        .run(r#"UPDATE "UserProfile" SET status = 'CLOSED' WHERE email = $1"#, "wei@gxtest.com")
        .await;
    assert_eq!(refusal(&payers.pay("k", "1").await), (422, "unknown_receiver"));
    let new = payers.host.add_person("new@gxtest.com", AccountStatus::Active).await;
    let token = payers.host.session_of(&new).await.access_token;
    let answer = order(&payers.host, &token, "k", &json!({ "to": SARAH, "amount": "1" })).await;
    assert_eq!(refusal(&answer), (404, "no_wallet"));
}
