//! Repeated orders and their idempotency keys, through the router.

use std::time::Duration;

use gx_model::AccountStatus;
use serde_json::json;

use super::{Payers, SARAH, TRANSFERS, WEI, add_wallet, order, refusal};

/// API-10, OUT-07, SEC-API-02: a repeated order is the same transfer; another order with the same
/// key is refused; the same key of another person is another key.
#[tokio::test]
async fn a_repeated_order_is_one_transfer() {
    let payers = Payers::with_balance(500_000_000).await;
    let first = payers.pay("k1", "1").await;
    let again = payers.pay("k1", "1").await;
    assert_eq!((first.code(), again.code()), (202, 202));
    assert_eq!(first.text, again.text);
    assert_eq!(refusal(&payers.pay("k1", "2").await), (422, "idempotency_key_reused"));
    let remarked = json!({ "to": WEI, "amount": "1", "remark": "now with one" });
    let answer = payers.order("k1", &remarked).await;
    assert_eq!(refusal(&answer), (422, "idempotency_key_reused"));
    let ask = payers.host.ask("POST", TRANSFERS).token(&payers.token);
    let answer = ask.json(&json!({ "to": WEI, "amount": "1" })).send().await;
    assert_eq!(refusal(&answer), (400, "idempotency_key_required"));
    assert_eq!(payers.commands().await, 1);

    let mei = payers.host.add_person("mei@gxtest.com", AccountStatus::Active).await;
    add_wallet(&payers.host, &mei, "MY 463 AUN834 0QKZB 5823", 500_000_000).await;
    let token = payers.host.session_of(&mei).await.access_token;
    let answer = order(&payers.host, &token, "k1", &json!({ "to": WEI, "amount": "2" })).await;
    assert_eq!(answer.code(), 202);
    assert_eq!(payers.commands().await, 2);
}

/// API-10, SEC-API-02: a refusal is repeated, too. An answer is kept for a day, its transfer for
/// ever.
#[tokio::test]
async fn an_answer_is_forgotten_after_a_day_and_a_transfer_never() {
    let payers = Payers::with_balance(10_000_000).await;
    assert_eq!(refusal(&payers.pay("big", "20").await), (409, "insufficient_balance"));
    assert_eq!(payers.pay("small", "1").await.code(), 202);
    payers.run(r#"UPDATE "Wallet" SET balance = 30000000 WHERE "accountId" = $1"#, SARAH).await;
    assert_eq!(refusal(&payers.pay("big", "20").await), (409, "insufficient_balance"));
    payers.host.clock.advance(Duration::from_hours(24));
    let token = payers.host.session_of(&payers.sarah).await.access_token;
    let pay = async |key, amount| {
        order(&payers.host, &token, key, &json!({ "to": WEI, "amount": amount })).await
    };
    assert_eq!(pay("big", "20").await.code(), 202, "covered by now");
    assert_eq!(refusal(&pay("small", "2").await), (422, "idempotency_key_reused"));
    assert_eq!(pay("small", "1").await.code(), 202);
    assert_eq!(payers.commands().await, 2);
}

/// API-10, SEC-API-02: while the first request with a key is in progress, a second one is refused
/// at once and does not wait.
#[tokio::test]
async fn an_order_that_is_repeated_too_early_is_refused() {
    let payers = Payers::with_balance(100_000_000).await;
    let pool = payers.host.database.pool();
    let mut busy = pool.begin().await.unwrap();
    sqlx::query(r#"SELECT FROM "UserProfile" WHERE "profileId" = $1 FOR UPDATE"#)
        .bind(&payers.sarah)
        .execute(&mut *busy)
        .await
        .unwrap();
    let repeat = async {
        let first_waits = async {
            let waiting = r#"SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'"#;
            while sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() == 0 {}
        };
        tokio::time::timeout(Duration::from_secs(120), first_waits).await.unwrap();
        let early = payers.pay("k", "1").await;
        busy.commit().await.unwrap();
        early
    };
    let (first, early) = tokio::join!(payers.pay("k", "1"), repeat);
    assert_eq!(refusal(&early), (409, "request_in_progress"));
    assert_eq!(first.code(), 202);
    assert_eq!(payers.pay("k", "1").await.text, first.text);
    assert_eq!(payers.commands().await, 1);
}

/// SEC-API-02: `k` without quotes is the same key as `"k"`: both get the same answer, for one
/// transfer.
#[tokio::test]
async fn a_key_without_quotes_is_the_same_key() {
    let payers = Payers::with_balance(100_000_000).await;
    let body = json!({ "to": WEI, "amount": "1" });
    let send = async |header: &str, key: &str| {
        let ask = payers.host.ask("POST", TRANSFERS).token(&payers.token).json(&body);
        ask.header(header, key).send().await
    };
    let first = send("idempotency-key", "k").await;
    assert_eq!(first.code(), 202, "{}", first.text);
    for (header, key) in
        [("idempotency-key", "\"k\""), ("x-idempotency-key", "k"), ("x-idempotency-key", "\"k\"")]
    {
        assert_eq!(send(header, key).await.text, first.text, "{header}: {key}");
    }
    assert_eq!(payers.commands().await, 1);
}

/// SEC-API-02: a quote, which changes nothing, gets its first answer again, too.
#[tokio::test]
async fn a_repeated_quote_gets_the_first_answer() {
    let payers = Payers::with_balance(100_000_000).await;
    let quote = async |amount: &str| {
        let ask = payers.host.ask("POST", "/api/v1/transfers/quote").token(&payers.token);
        let ask = ask.json(&json!({ "to": WEI, "amount": amount }));
        ask.header("idempotency-key", "\"q\"").send().await
    };
    let first = quote("1").await;
    assert_eq!(first.code(), 200, "{}", first.text);
    assert_eq!(quote("1").await.text, first.text);
    assert_eq!(refusal(&quote("2").await), (422, "idempotency_key_reused"));
}
