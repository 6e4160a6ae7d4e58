//! Following a transfer, through the router.

use axum::body::Body;
use gx_model::AccountStatus;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Payers, refusal};

/// OUT-11: the payer can follow a transfer to its end, and no other person can.
#[tokio::test]
async fn only_the_payer_follows_a_transfer_to_its_end() {
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

/// OUT-11: as a stream of events, each change arrives until the final state.
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

/// OUT-11: a stream that had the final state is not opened again, and one that was cut before is. A
/// media type with weight 0 is not sent.
#[tokio::test]
async fn a_stream_is_opened_again_only_before_the_final_state() {
    let payers = Payers::with_balance(100_000_000).await;
    let id = payers.pay("k", "1").await.text_at("/commandId").to_owned();
    let settle = r#"UPDATE "OutboxCommand" SET status = 'COMMITTED', "txId" = 'tx9',
        "blockNumber" = 9, "settledAt" = now() WHERE "commandId" = $1"#;
    payers.run(settle, &id).await;
    let path = format!("/api/v1/transfers/{id}");
    let ask = async |accept: &str, last: Option<&str>| {
        let ask = payers.host.ask("GET", &path).token(&payers.token).header("accept", accept);
        match last {
            None => ask.send().await,
            Some(last) => ask.header("last-event-id", last).send().await,
        }
    };
    const EVENTS: &str = "text/event-stream";
    let first = ask(EVENTS, None).await;
    assert!(first.text.contains("id: CONFIRMED"), "{}", first.text);
    assert_eq!(ask(EVENTS, Some("CONFIRMED")).await.code(), 204);
    let earlier = ask(EVENTS, Some("PENDING")).await;
    assert!(earlier.text.contains("CONFIRMED"), "{}", earlier.text);
    for (accept, is_stream) in [
        ("text/event-stream;q=0", false),
        ("text/event-stream; q=0.000, application/json", false),
        ("text/event-stream;q=0.5, application/json", false),
        ("application/json;q=0.5, text/event-stream;q=0.9", true),
        ("application/json, text/event-stream", true),
        ("TEXT/EVENT-STREAM", true),
        ("text/event-stream;q=2", false),
        ("*/*", false),
    ] {
        let answer = ask(accept, None).await;
        assert_eq!(answer.headers["content-type"] == EVENTS, is_stream, "{accept}");
    }
}

/// The number of streams of one transfer is limited; a request without a stream still works.
#[tokio::test]
async fn the_streams_of_one_transfer_are_limited() {
    let payers = Payers::with_balance(100_000_000).await;
    let id = payers.pay("k", "1").await.text_at("/commandId").to_owned();
    let path = format!("/api/v1/transfers/{id}");
    let router = payers.host.service.public(false);
    let ask = || {
        let request = ::http::Request::get(&path).header("accept", "text/event-stream");
        let request = request.header("authorization", format!("Bearer {}", payers.token));
        router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(ask().await.unwrap());
    }
    assert!(streams.iter().all(|stream| stream.status() == 200));
    assert_eq!(ask().await.unwrap().status(), 503);
    assert_eq!(payers.host.get(&path, &payers.token).await.code(), 200);
    streams.pop();
    assert_eq!(ask().await.unwrap().status(), 200);
}
