//! Transfers, through the router and on a read model that the tests write.

mod following;
mod keys;
mod locked;
mod refusals;

use gx_auth::testing::{Answer, TestHost};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use super::http::TRANSFERS;
use crate::service;

const SARAH: &str = "MY 463 AUN834 0QKZB 5821";
const WEI: &str = "SG 463 ABH834 0QKZB 5822";
/// An account of the type System, which people cannot pay.
const SYSTEM: &str = "MY 666 BNS641 FSYST 0006";

/// Sarah in Malaysia with a balance, and Wei in Singapore with an empty wallet.
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

/// SEC-API-09: the examples of the document succeed, for a payer other than their receiver.
#[tokio::test]
async fn the_examples_of_the_document_are_paid() {
    let host = TestHost::new(service).await;
    let wei = host.add_person("wei@gxtest.com", AccountStatus::Active).await;
    let sarah = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    add_wallet(&host, &wei, WEI, 100_000_000).await;
    add_wallet(&host, &sarah, SARAH, 0).await;
    let succeeded = host.try_examples(async || host.session_of(&wei).await.access_token).await;
    assert_eq!(succeeded, ["POST /api/v1/transfers/quote", "POST /api/v1/transfers"]);
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
    let system = payers.host.add_person("system@gxtest.com", AccountStatus::Active).await;
    add_wallet(&payers.host, &system, SYSTEM, 0).await;
    let answer = quote(json!({ "to": SYSTEM, "amount": "5" })).await;
    assert_eq!(refusal(&answer), (422, "transfer_not_possible"));
    assert_eq!(answer.json["detail"], "Choose another receiver.");
    let answer = quote(json!({ "to": "treasury_MY", "amount": "0", "fee": "0" })).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/to", "/amount", "/fee"]));
    for wrong in ["-1", "1.0000001", "1e3", "", "1250000000001"] {
        let answer = quote(json!({ "to": WEI, "amount": wrong })).await;
        assert_eq!((answer.code(), answer.pointers()), (400, vec!["/amount"]), "{wrong}");
    }
}

#[tokio::test]
async fn the_fee_table_is_public() {
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

/// G5, OUT-12: the payer's remark is not sent to the ledger; the command has only ids and numbers.
#[tokio::test]
async fn an_accepted_order_reduces_the_available_balance_at_once() {
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

/// FAB-14: the receiver's id may be pasted in any form; it is sent and shown in its one form.
#[tokio::test]
async fn a_receiver_may_be_pasted_in_any_form() {
    let payers = Payers::with_balance(100_000_000).await;
    let pasted = "\u{202a}sg\u{a0}463\u{a0}abh834 0qkzb5822\u{202c} ";
    let quote = json!({ "to": pasted, "amount": "1" });
    let answer = payers.host.post("/api/v1/transfers/quote", &payers.token, &quote).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    assert_eq!(payers.order("k", &quote).await.code(), 202);
    // The same order, because its receiver is the same.
    assert_eq!(payers.order("k", &json!({ "to": WEI, "amount": "1" })).await.code(), 202);
    let to: Vec<String> = sqlx::query_scalar(r#"SELECT payload ->> 'to' FROM "OutboxCommand""#)
        .fetch_all(payers.host.database.pool())
        .await
        .unwrap();
    assert_eq!(to, [WEI]);
}

/// API-15: a remark with direction marks or invisible characters is refused, and the error names
/// them.
#[tokio::test]
async fn a_remark_with_invisible_characters_is_refused() {
    let payers = Payers::with_balance(100_000_000).await;
    for (remark, character) in [("\u{202e}001 XG", "U+202E"), ("rent\u{200b}", "U+200B")] {
        let body = json!({ "to": WEI, "amount": "1", "remark": remark });
        let answer = payers.order("k", &body).await;
        assert_eq!((answer.code(), answer.pointers()), (400, vec!["/remark"]));
        assert!(answer.text.contains(character), "{}", answer.text);
    }
    assert_eq!(payers.commands().await, 0);
}

/// OUT-14, G2: two orders at the same time cannot use the same money, and one order that is sent
/// twice at the same time is one transfer.
#[tokio::test]
async fn orders_at_the_same_time_do_not_spend_twice() {
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

/// OUT-14, G4: of many orders at the same time in several processes, the accepted ones together are
/// covered by the balance; the refused ones take nothing.
#[tokio::test]
async fn many_orders_at_the_same_time_never_spend_more_than_the_balance() {
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
    // Each order needs 10.015 GX.
    assert_eq!((taken.len(), payers.commands().await), (9, 9));
    assert!(refused.iter().all(|answer| *answer == (409, "insufficient_balance")), "{refused:?}");
    assert_eq!(payers.wallet().await["available"], "9.865");
}

/// OUT-14: the balance must cover amount and fee together, to the last Qirat.
#[tokio::test]
async fn the_balance_must_cover_the_fee_too() {
    let payers = Payers::with_balance(10_014_999).await;
    assert_eq!(refusal(&payers.pay("short", "10").await), (409, "insufficient_balance"));
    payers.run(r#"UPDATE "Wallet" SET balance = 10015000 WHERE "accountId" = $1"#, SARAH).await;
    assert_eq!(payers.pay("exact", "10").await.code(), 202);
    assert_eq!(payers.wallet().await["available"], "0");
}

#[tokio::test]
async fn the_remark_is_in_the_history_of_both_people() {
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
