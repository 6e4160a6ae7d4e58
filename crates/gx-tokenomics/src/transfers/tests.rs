//! Transfers through the router, on a read model written by hand.

use std::time::Duration;

use gx_auth::testing::{Answer, CHANNEL, TestHost};
use gx_model::{AccountStatus, DenialFinality};
use serde_json::{Value, json};

use super::http::TRANSFERS;
use crate::service;

const SARAH: &str = "MY 463 AUN834 0QKZB 5821";
const WEI: &str = "SG 463 ABH834 0QKZB 5822";

/// Sarah in Malaysia with a balance, and Wei in Singapore with nothing.
struct Payers {
    host: TestHost,
    sarah: String,
    token: String,
}

impl Payers {
    async fn with_balance(qirat: i64) -> Self {
        let host = TestHost::new(service).await;
        let sarah = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
        let wei = host.add_person("wei@gxtest.com", AccountStatus::Active).await;
        add_wallet(&host, &sarah, SARAH, qirat).await;
        add_wallet(&host, &wei, WEI, 0).await;
        let token = host.session_of(&sarah).await.access_token;
        Self { host, sarah, token }
    }

    async fn order(&self, key: &str, body: &Value) -> Answer {
        order(&self.host, &self.token, key, body).await
    }

    async fn pay(&self, key: &str, amount: &str) -> Answer {
        self.order(key, &json!({ "to": WEI, "amount": amount })).await
    }

    async fn wallet(&self) -> Value {
        self.host.get("/api/v1/wallets/me", &self.token).await.json
    }

    async fn run(&self, sql: &'static str, parameter: &str) {
        let changed = sqlx::query(sql).bind(parameter).execute(self.host.database.pool()).await;
        assert_eq!(changed.unwrap().rows_affected(), 1, "{sql}");
    }

    async fn set_status(&self, status: &str) {
        sqlx::query(r#"UPDATE "UserProfile" SET status = $2 WHERE "profileId" = $1"#)
            .bind(&self.sarah)
            .bind(status)
            .execute(self.host.database.pool())
            .await
            .unwrap();
    }

    async fn commands(&self) -> i64 {
        sqlx::query_scalar(r#"SELECT count(*) FROM "OutboxCommand" WHERE kind = 'TRANSFER'"#)
            .fetch_one(self.host.database.pool())
            .await
            .unwrap()
    }
}

async fn add_wallet(host: &TestHost, profile_id: &str, account: &str, qirat: i64) {
    sqlx::query(
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, "profileId", "fabricUserId",
               balance, "lastTxId", "asOfBlock", "createdAt", "updatedAt")
           VALUES ($2, $2, 'USER', $1, $2, $3, 'tx', 7, now(), now())"#,
    )
    .bind(profile_id)
    .bind(account)
    .bind(qirat)
    .execute(host.database.pool())
    .await
    .unwrap();
}

async fn order(host: &TestHost, token: &str, key: &str, body: &Value) -> Answer {
    let ask = host.ask("POST", TRANSFERS).token(token).json(body);
    ask.header("idempotency-key", &format!("\"{key}\"")).send().await
}

fn refusal(answer: &Answer) -> (u16, &str) {
    (answer.code(), answer.problem())
}

#[tokio::test]
async fn a_quote_says_what_a_transfer_costs() {
    let payers = Payers::with_balance(0).await;
    let quote =
        async |body: Value| payers.host.post("/api/v1/transfers/quote", &payers.token, &body).await;
    let answer = quote(json!({ "to": WEI, "amount": "5" })).await;
    let expected = json!({ "amount": "5", "fee": "0.0075", "total": "5.0075", "feeBps": 15 });
    assert_eq!((answer.code(), answer.json), (200, expected));
    let answer = quote(json!({ "to": SARAH, "amount": "5" })).await;
    assert_eq!(refusal(&answer), (422, "self_transfer"));
    let answer = quote(json!({ "to": "MY 463 AUN834 0QKZB 5829", "amount": "5" })).await;
    assert_eq!(refusal(&answer), (422, "unknown_receiver"));
    let answer = quote(json!({ "to": "treasury_MY", "amount": "0", "fee": "0" })).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/to", "/amount", "/fee"]));
    for wrong in ["-1", "1.0000001", "1e3", "", "1250000000001"] {
        let answer = quote(json!({ "to": WEI, "amount": wrong })).await;
        assert_eq!((answer.code(), answer.pointers()), (400, vec!["/amount"]), "{wrong}");
    }
}

#[tokio::test]
async fn the_fee_table_is_open_to_everybody() {
    let payers = Payers::with_balance(0).await;
    let answer = payers.host.get("/api/v1/transfers/fees", "").await;
    assert_eq!(answer.code(), 200);
    let local = json!({ "txType": "P2P", "isLocal": true, "tiers": [
        { "from": "0", "feeBps": 0 }, { "from": "3", "feeBps": 5 },
        { "from": "100.000001", "feeBps": 10 },
    ]});
    assert_eq!(answer.json["classes"][0], local);
    assert_eq!(answer.json["classes"].as_array().unwrap().len(), 8);
}

/// G5, OUT-12: what the payer writes stays here; the command has ids and numbers alone.
#[tokio::test]
async fn an_order_is_on_its_way_and_spoken_for_at_once() {
    let payers = Payers::with_balance(100_000_000).await;
    let body = json!({ "to": WEI, "amount": "60", "remark": "for the boat" });
    let answer = payers.order("boat", &body).await;
    assert_eq!((answer.code(), &answer.json["status"]), (202, &json!("PENDING")));
    let location = answer.text_at("/location");
    let followed = payers.host.get(location, &payers.token).await;
    let id = answer.text_at("/commandId");
    assert_eq!(followed.json, json!({ "commandId": id, "status": "PENDING" }));
    let wallet = payers.wallet().await;
    assert_eq!(wallet["balance"], "100");
    assert_eq!(
        (&wallet["pendingDebits"], &wallet["available"]),
        (&json!("60.09"), &json!("39.91"))
    );
    let payload: Value = sqlx::query_scalar(r#"SELECT payload FROM "OutboxCommand""#)
        .fetch_one(payers.host.database.pool())
        .await
        .unwrap();
    let expected = json!({ "from": SARAH, "to": WEI, "amount": "60000000", "txType": "P2P" });
    assert_eq!(payload, expected);
}

/// API-10, OUT-07, SEC-API-02: a repeated order is the same transfer; another order under the
/// same key is refused; somebody else's key is another key.
#[tokio::test]
async fn an_order_that_is_repeated_is_one_transfer() {
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

/// API-10, SEC-API-02: a refusal is repeated too, and an answer is kept for a day; the
/// transfer behind it is known for ever.
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

/// OUT-14, G2: two orders at once cannot count on the same money, and one order sent twice at
/// once is one transfer.
#[tokio::test]
async fn orders_at_the_same_moment_do_not_spend_twice() {
    let payers = Payers::with_balance(100_000_000).await;
    let (one, other) = tokio::join!(payers.pay("one", "60"), payers.pay("other", "60"));
    let mut codes = [one.code(), other.code()];
    codes.sort_unstable();
    assert_eq!(codes, [202, 409]);
    let (one, other) = tokio::join!(payers.pay("same", "10"), payers.pay("same", "10"));
    let answers = [refusal(&one), refusal(&other)];
    assert!(answers.contains(&(202, "no problem")), "{answers:?}");
    let allowed = [(202, "no problem"), (409, "request_in_progress")];
    assert!(answers.iter().all(|answer| allowed.contains(answer)), "{answers:?}");
    assert_eq!(payers.commands().await, 2);
}

/// OUT-14, G4: however many orders come at once, through whichever process, what they take
/// together is covered; those that were refused took nothing.
#[tokio::test]
async fn a_crowd_of_orders_never_spends_more_than_there_is() {
    const ORDERS: u32 = 40;
    let payers = Payers::with_balance(100_000_000).await;
    let restarted = &service(payers.host.base.clone());
    let asks = (0..ORDERS).map(|n| {
        let ask = payers.host.ask("POST", TRANSFERS).token(&payers.token);
        let ask = ask.json(&json!({ "to": WEI, "amount": "10" }));
        let ask = ask.header("idempotency-key", &format!("\"{n}\""));
        async move { if n % 2 == 0 { ask.send().await } else { ask.send_to(restarted).await } }
    });
    let answers = futures_util::future::join_all(asks).await;
    let codes = answers.iter().map(refusal);
    let (taken, refused): (Vec<_>, Vec<_>) = codes.partition(|answer| answer.0 == 202);
    // Each takes 10.015 GX.
    assert_eq!((taken.len(), payers.commands().await), (9, 9));
    assert!(refused.iter().all(|answer| *answer == (409, "insufficient_balance")), "{refused:?}");
    assert_eq!(payers.wallet().await["available"], "9.865");
}

/// OUT-14: amount and fee together must be covered, to the last Qirat.
#[tokio::test]
async fn the_fee_must_be_covered_too() {
    let payers = Payers::with_balance(10_014_999).await;
    assert_eq!(refusal(&payers.pay("short", "10").await), (409, "insufficient_balance"));
    payers.run(r#"UPDATE "Wallet" SET balance = 10015000 WHERE "accountId" = $1"#, SARAH).await;
    assert_eq!(payers.pay("exact", "10").await.code(), 202);
    assert_eq!(payers.wallet().await["available"], "0");
}

/// G6, OUT-13: who is frozen, or about to be, looks and does not pay.
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

/// G6: whom the ledger has frozen pays nothing, whatever the account's status says meanwhile.
#[tokio::test]
async fn the_ledgers_word_on_a_freeze_counts() {
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

/// G6: whoever was denied, suspended or closed out pays nothing with a token of before.
#[tokio::test]
async fn an_account_that_lets_nobody_in_pays_nothing() {
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

/// FAB-10, API-10: while the ledger is paused an order is refused with a stable code, and
/// taken when it is repeated after the resume; an order of before is still answered.
#[tokio::test]
async fn no_order_is_taken_while_the_system_is_paused() {
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
async fn nobody_pays_a_closed_account_or_without_a_wallet() {
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

/// OUT-11: the payer follows a transfer to its end, and nobody else does.
#[tokio::test]
async fn a_transfer_is_followed_to_its_end_by_its_payer_alone() {
    let payers = Payers::with_balance(100_000_000).await;
    let settle = r#"UPDATE "OutboxCommand" SET status = 'COMMITTED', "txId" = 'tx9',
        "blockNumber" = 9007199254740993, "settledAt" = now() WHERE "commandId" = $1"#;
    let refuse = r#"UPDATE "OutboxCommand" SET status = 'REFUSED', "settledAt" = now(), outcome =
        '{"status":"REFUSED","rejection":{"code":"INSUFFICIENT_BALANCE","detail":""}}'
        WHERE "commandId" = $1"#;
    let mut ids = Vec::new();
    for (key, sql) in [("good", settle), ("bad", refuse)] {
        let id = payers.pay(key, "1").await.text_at("/commandId").to_owned();
        payers.run(sql, &id).await;
        ids.push(id);
    }
    let look =
        async |id: &str| payers.host.get(&format!("/api/v1/transfers/{id}"), &payers.token).await;
    let good = json!({ "commandId": ids[0], "status": "CONFIRMED", "txId": "tx9",
        "blockNumber": 9_007_199_254_740_993_i64 });
    assert_eq!(look(&ids[0]).await.json, good);
    let bad = json!({ "commandId": ids[1], "status": "FAILED", "reason": "INSUFFICIENT_BALANCE" });
    assert_eq!(look(&ids[1]).await.json, bad);
    for unknown in ["00000000-0000-5000-8000-000000000000", "none"] {
        assert_eq!(refusal(&look(unknown).await), (404, "no_transfer"));
    }
    let other = payers.host.add_person("other@gxtest.com", AccountStatus::Active).await;
    let token = payers.host.session_of(&other).await.access_token;
    let answer = payers.host.get(&format!("/api/v1/transfers/{}", ids[0]), &token).await;
    assert_eq!(refusal(&answer), (403, "not_yours"));
}

/// OUT-11: asked for as events, each change arrives until the last.
#[tokio::test]
async fn a_transfer_can_be_followed_live() {
    let payers = Payers::with_balance(100_000_000).await;
    let id = payers.pay("k", "1").await.text_at("/commandId").to_owned();
    let path = format!("/api/v1/transfers/{id}");
    let ask = payers.host.ask("GET", &path).token(&payers.token);
    let stream = ask.header("accept", "text/event-stream").send();
    let settle = payers.run(
        r#"UPDATE "OutboxCommand" SET status = 'COMMITTED', "txId" = 'tx9', "blockNumber" = 9,
               "settledAt" = now() WHERE "commandId" = $1"#,
        &id,
    );
    let (answer, ()) = tokio::join!(stream, settle);
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let states: Vec<Value> = answer
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let last = json!({ "commandId": id, "status": "CONFIRMED", "txId": "tx9", "blockNumber": 9 });
    assert_eq!(states.last(), Some(&last), "{}", answer.text);
    assert!(answer.text.starts_with("event: status"), "{}", answer.text);
}

#[tokio::test]
async fn the_remark_stands_in_the_history_of_both_sides() {
    let payers = Payers::with_balance(100_000_000).await;
    let body = json!({ "to": WEI, "amount": "1", "remark": "danke \u{1f60a}" });
    let id = payers.order("k", &body).await.text_at("/commandId").to_owned();
    for (account, direction) in [(SARAH, "OUT"), (WEI, "IN")] {
        sqlx::query(
            r#"INSERT INTO "Transaction" (id, "onChainTxId", "eventIndex", "accountId",
                   "blockNumber", "commandId", type, direction, counterparty, amount, fee, at)
               VALUES ($1, 'tx', 0, $1, 9, $2, 'TRANSFER', $3, 'x', 1, 0, now())"#,
        )
        .bind(account)
        .bind(&id)
        .bind(direction)
        .execute(payers.host.database.pool())
        .await
        .unwrap();
    }
    let wei: String = sqlx::query_scalar(
        r#"SELECT "profileId" FROM "UserProfile" WHERE email = 'wei@gxtest.com'"#,
    )
    .fetch_one(payers.host.database.pool())
    .await
    .unwrap();
    for token in [&payers.token, &payers.host.session_of(&wei).await.access_token] {
        let answer = payers.host.get("/api/v1/wallets/me/transactions", token).await;
        assert_eq!(answer.text_at("/items/0/remark"), "danke \u{1f60a}");
    }
}
