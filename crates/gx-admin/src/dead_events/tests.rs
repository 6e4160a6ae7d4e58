//! Dead events, through the router.

use gx_auth::AdminRole;
use gx_auth::testing::{Answer, CHANNEL, TestHost};
use gx_outbox::tasks::{self, Task};
use serde_json::json;

use crate::tests::host;

async fn add(host: &TestHost, block: i64, name: &str, state: &str) -> i64 {
    sqlx::query_scalar(
        r#"INSERT INTO "EventDLQ" (channel, "blockNumber", "txId", "eventIndex", "commandId",
               "txIndex", "eventName", aggregates, reason, payload, "ledgerAt", state,
               "createdAt", "resolvedAt")
           VALUES ($1, $2, 'tx', 0, 'c', 0, $3, ARRAY['key ' || $3], 'unknown event',
                   '{"data": "1\u0000"}', now(), $4, now(),
                   CASE WHEN $4 = 'REPLAYED' THEN now() END)
           RETURNING "deadEventId""#,
    )
    .bind(CHANNEL)
    .bind(block)
    .bind(name)
    .bind(state)
    .fetch_one(host.database.pool())
    .await
    .unwrap()
}

fn ids(answer: &Answer) -> Vec<i64> {
    let items = answer.json["items"].as_array().unwrap();
    items.iter().map(|item| item["deadEventId"].as_i64().unwrap()).collect()
}

/// PRJ-01, PRJ-04: dead events are listed with their reasons, by state, name and aggregate; one is
/// shown with its payload as it is in the block.
#[tokio::test]
async fn dead_events_are_listed_and_shown() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    let minted = add(&host, 1, "MoneyPrinted", "HELD").await;
    let created = add(&host, 2, "UserCreated", "REPLAYED").await;
    let get =
        async |query: &str| host.get(&format!("/api/v1/admin/dead-events?{query}"), &token).await;
    assert_eq!(ids(&get("").await), [created, minted]);
    assert_eq!(ids(&get("state=HELD").await), [minted]);
    assert_eq!(ids(&get("event=UserCreated").await), [created]);
    assert_eq!(ids(&get("aggregate=key%20MoneyPrinted").await), [minted]);
    assert_eq!(get("state=HELD").await.json["items"][0]["reason"], "unknown event");
    let wrong = get("state=GONE").await;
    assert_eq!((wrong.code(), wrong.pointers()), (400, vec!["/state"]));

    let one = host.get(&format!("/api/v1/admin/dead-events/{minted}"), &token).await;
    assert_eq!((one.code(), &one.json["payload"]), (200, &json!({ "data": "1\u{0}" })));
    for nobody in ["nobody", "99", "-1", "99999999999999999999"] {
        let answer = host.get(&format!("/api/v1/admin/dead-events/{nobody}"), &token).await;
        assert_eq!((answer.code(), answer.problem()), (404, "no_dead_event"), "{nobody}");
    }
}

/// PRJ-01: a replay of one event or of all stores a task and an audit row with the reason; the
/// report can be read.
#[tokio::test]
async fn a_replay_is_stored_as_a_task_and_audited() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let held = add(&host, 1, "MoneyPrinted", "HELD").await;
    let replayed = add(&host, 2, "UserCreated", "REPLAYED").await;
    let reason = json!({ "reason": "a release that knows the name" });
    for (path, dead_event_id) in
        [(format!("{held}/replay"), Some(held)), ("replay".to_owned(), None)]
    {
        let path = format!("/api/v1/admin/dead-events/{path}");
        let answer = host.post(&path, &token, &reason).await;
        assert_eq!((answer.code(), &answer.json["state"]), (202, &json!("WAITING")));
        let audit = host.get("/api/v1/admin/audit?limit=1", &token).await;
        let row = &audit.json["items"][0];
        assert_eq!(row["action"], "dead_events.replay_asked");
        assert_eq!(row["after"]["reason"], "a release that knows the name");
        assert_eq!(row["after"]["taskId"], answer.text_at("/taskId"));

        let mut tx = host.base.begin().await.unwrap();
        let task = tasks::begin(&mut tx, CHANNEL, &["REPLAY_DEAD_EVENTS"], host.clock.now())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(task.task().unwrap(), Task::ReplayDeadEvents { dead_event_id });
        let report = json!({ "replayed": [held], "stillHeld": [] });
        tasks::finish(&mut tx, &task.task_id, report.clone(), host.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        let done = host.get(answer.text_at("/location"), &token).await;
        assert_eq!((&done.json["state"], &done.json["report"]), (&json!("DONE"), &report));
    }
    for (id, code, problem) in [(replayed, 409, "not_held"), (99, 404, "no_dead_event")] {
        let path = format!("/api/v1/admin/dead-events/{id}/replay");
        let answer = host.post(&path, &token, &reason).await;
        assert_eq!((answer.code(), answer.problem()), (code, problem));
    }
    let answer = host.get("/api/v1/admin/projection/tasks/nobody", &token).await;
    assert_eq!((answer.code(), answer.problem()), (404, "no_task"));
}
