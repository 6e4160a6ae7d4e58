//! Commands of the outbox, through the router.

use std::time::Duration;

use gx_auth::AdminRole;
use gx_auth::testing::{Answer, TestHost};
use gx_model::CommandId;
use gx_outbox::submitter::Listener;
use serde_json::{Value, json};

use crate::tests::host;

/// Adds a command with a status that the workers can set.
async fn add(host: &TestHost, name: &str, kind: &str, status: &str, more: &Value) -> String {
    let id = CommandId::derive(&["test", name]).to_string();
    sqlx::query(
        r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey",
               lane, touches, "requestedBy", status, "nextAttemptAt", "createdAt", "updatedAt",
               "settledAt", "txId", "submittedAt", outcome, prerequisite, "lastError")
           VALUES ($1, $2, '{}', 'ADMIN', $3, 0, '{}', 'test', $4, 'epoch', $5, $5,
                   CASE WHEN $4 IN ('COMMITTED', 'REFUSED') THEN $5 END, $6->>'txId',
                   CASE WHEN $6 ? 'txId' THEN $5 END, $6->'outcome', $6->'prerequisite',
                   $6->>'lastError')"#,
    )
    .bind(&id)
    .bind(kind)
    .bind(format!("key {name}"))
    .bind(status)
    .bind(host.clock.now())
    .bind(more)
    .execute(host.database.pool())
    .await
    .unwrap();
    id
}

async fn post(host: &TestHost, token: &str, id: &str, what: &str) -> Answer {
    let path = format!("/api/v1/admin/outbox/{id}/{what}");
    host.post(&path, token, &json!({ "reason": "the peer is back" })).await
}

fn ids(answer: &Answer) -> Vec<&str> {
    let items = answer.json["items"].as_array().unwrap();
    items.iter().map(|item| item["commandId"].as_str().unwrap()).collect()
}

async fn last_audit(host: &TestHost, token: &str) -> Value {
    host.get("/api/v1/admin/audit?limit=1", token).await.json["items"][0].clone()
}

/// Each filter returns the commands that it names, and pages follow each other.
#[tokio::test]
async fn commands_are_listed_by_status_kind_and_aggregate() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    let none = json!({});
    let grant = add(&host, "a", "DISTRIBUTE_GENESIS", "PENDING", &none).await;
    let dead = add(&host, "b", "TRANSFER", "DEAD", &none).await;
    let done = add(&host, "c", "TRANSFER", "COMMITTED", &json!({ "txId": "t" })).await;
    let get = async |query: &str| host.get(&format!("/api/v1/admin/outbox?{query}"), &token).await;
    assert_eq!(ids(&get("").await), [&done, &dead, &grant]);
    assert_eq!(ids(&get("status=DEAD").await), [&dead]);
    assert_eq!(ids(&get("kind=TRANSFER").await), [&done, &dead]);
    assert_eq!(ids(&get("kind=TRANSFER&status=COMMITTED").await), [&done]);
    assert_eq!(ids(&get("aggregate=key%20a").await), [&grant]);
    assert_eq!(ids(&get("person=nobody").await), [""; 0]);
    let first = get("limit=2").await;
    let cursor = first.text_at("/nextCursor").to_owned();
    assert_eq!(ids(&get(&format!("limit=2&cursor={cursor}")).await), [&grant]);
    let wrong = get("status=GONE&kind=MINT").await;
    assert_eq!((wrong.code(), wrong.pointers()), (400, vec!["/status", "/kind"]));
}

/// A command is shown with its envelopes and the ledger's answers.
#[tokio::test]
async fn a_command_is_shown_with_its_envelopes() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    let more = json!({ "txId": "tx-2", "lastError": "MVCC_READ_CONFLICT in block 7" });
    let id = add(&host, "a", "TRANSFER", "SUBMITTED", &more).await;
    for (tx, state, code) in
        [("tx-1", "INVALID", Some("MVCC_READ_CONFLICT")), ("tx-2", "OPEN", None)]
    {
        sqlx::query(
            r#"INSERT INTO "LedgerAttempt" ("txId", purpose, "genesisHash", envelope, "commandIds",
                   touches, state, "nextSendAt", "validationCode", "createdAt", "settledAt")
               VALUES ($1, 'EXECUTE', '', '', ARRAY[$2], '{}', $3, $5, $4, $5,
                       CASE WHEN $3 <> 'OPEN' THEN $5 END)"#,
        )
        .bind(tx)
        .bind(&id)
        .bind(state)
        .bind(code)
        .bind(host.clock.now())
        .execute(host.database.pool())
        .await
        .unwrap();
    }
    let answer = host.get(&format!("/api/v1/admin/outbox/{id}"), &token).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    assert_eq!(answer.json["lastError"], "MVCC_READ_CONFLICT in block 7");
    let envelopes = answer.json["envelopes"].as_array().unwrap();
    let told: Vec<_> = envelopes
        .iter()
        .map(|one| (one["txId"].as_str().unwrap(), one["validationCode"].as_str()))
        .collect();
    assert_eq!(told, [("tx-1", Some("MVCC_READ_CONFLICT")), ("tx-2", None)]);
    for nobody in ["nobody", "8f1c3c0e-54a1-5d3b-9b57-2a6f0c1d7e21"] {
        let answer = host.get(&format!("/api/v1/admin/outbox/{nobody}"), &token).await;
        assert_eq!((answer.code(), answer.problem()), (404, "no_command"));
    }
}

/// A dead command is sent again, with fresh budgets and an audit row with the reason; other
/// commands are refused.
#[tokio::test]
async fn a_dead_command_is_retried_and_audited() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let dead = add(&host, "a", "TRANSFER", "DEAD", &json!({ "lastError": "no" })).await;
    let sent = add(&host, "b", "TRANSFER", "SUBMITTED", &json!({ "txId": "t" })).await;

    let answer = post(&host, &token, &dead, "retry").await;
    assert_eq!((answer.code(), &answer.json["status"]), (200, &json!("PENDING")));
    let row = last_audit(&host, &token).await;
    assert_eq!(row["action"], "command.retried");
    assert_eq!((&row["targetId"], &row["before"]["status"]), (&json!(dead), &json!("DEAD")));
    assert_eq!(row["after"]["reason"], "the peer is back");

    for (id, code, problem) in [(&dead, 409, "command_not_open"), (&sent, 409, "command_not_open")]
    {
        let answer = post(&host, &token, id, "retry").await;
        assert_eq!((answer.code(), answer.problem()), (code, problem));
    }
    let answer = post(&host, &token, "8f1c3c0e-54a1-5d3b-9b57-2a6f0c1d7e21", "retry").await;
    assert_eq!((answer.code(), answer.problem()), (404, "no_command"));
    let path = format!("/api/v1/admin/outbox/{dead}/retry");
    let answer = host.post(&path, &token, &json!({ "reason": " " })).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/reason"]));
    assert_eq!(last_audit(&host, &token).await, row, "a refusal writes nothing");
}

/// A dead command whose id the ledger has cancelled gets a new id if only GX can request it again;
/// a transfer does not, because its payer can order it again.
#[tokio::test]
async fn a_cancelled_grant_is_sent_again_under_another_id() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let cancelled = json!({ "txId": "t", "outcome": { "status": "CANCELLED" } });
    let grant = add(&host, "a", "DISTRIBUTE_GENESIS", "DEAD", &cancelled).await;
    let transfer = add(&host, "b", "TRANSFER", "DEAD", &cancelled).await;

    let answer = post(&host, &token, &grant, "retry").await;
    assert_eq!((answer.code(), &answer.json["status"]), (200, &json!("PENDING")));
    let new_id = answer.text_at("/commandId").to_owned();
    assert_ne!(new_id, grant);
    assert_eq!(last_audit(&host, &token).await["after"]["commandId"], json!(new_id));
    let old = host.get(&format!("/api/v1/admin/outbox/{grant}"), &token).await;
    assert_eq!(old.json["status"], "DISCARDED");
    assert_eq!(old.json["giveUp"]["reason"], format!("wanted again as {new_id}"));

    let answer = post(&host, &token, &transfer, "retry").await;
    assert_eq!((answer.code(), answer.problem()), (409, "command_not_open"));
}

/// A command is discarded after the ledger has cancelled its id, and at once if it has; both are
/// audited with the reason. A command in an open attempt or a settled one is refused.
#[tokio::test]
async fn a_command_is_discarded_and_audited() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let blocked = json!({ "prerequisite": { "kind": "SYSTEM_RESUMED" } });
    let unsent = add(&host, "a", "TRANSFER", "BLOCKED", &blocked).await;
    let sent = add(&host, "b", "TRANSFER", "DEAD", &json!({ "txId": "t" })).await;
    let creation = add(&host, "c", "CREATE_USER", "DEAD", &json!({})).await;
    let under_way = add(&host, "d", "TRANSFER", "SUBMITTED", &json!({ "txId": "u" })).await;
    let done = add(&host, "e", "TRANSFER", "COMMITTED", &json!({ "txId": "v" })).await;

    let cancelled = json!({ "txId": "w", "outcome": { "status": "CANCELLED" } });
    let fenced = add(&host, "f", "TRANSFER", "DEAD", &cancelled).await;

    for (id, status) in
        [(&unsent, "PENDING"), (&sent, "PENDING"), (&creation, "PENDING"), (&fenced, "DISCARDED")]
    {
        let answer = post(&host, &token, id, "discard").await;
        assert_eq!((answer.code(), &answer.json["status"]), (200, &json!(status)));
        assert_eq!(answer.json["giveUp"]["to"], "DISCARDED");
        assert_eq!(answer.json["giveUp"]["reason"], "the peer is back");
        let row = last_audit(&host, &token).await;
        assert_eq!((&row["action"], &row["targetId"]), (&json!("command.discarded"), &json!(id)));
        assert_eq!(row["after"]["reason"], "the peer is back");
    }
    for id in [&under_way, &done] {
        let answer = post(&host, &token, id, "discard").await;
        assert_eq!((answer.code(), answer.problem()), (409, "command_not_open"));
    }
}

/// OUT-16: many dead commands are retried by class and time: a dry run counts them, each is counted
/// by its result, and the audit log names them with the reason.
#[tokio::test]
async fn many_dead_commands_are_retried_by_class_and_time() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let cancelled = json!({ "txId": "t", "outcome": { "status": "CANCELLED" } });
    let mut dead = Vec::new();
    for n in 0..120 {
        dead.push(add(&host, &n.to_string(), "FREEZE_WALLET", "DEAD", &json!({})).await);
    }
    dead.push(add(&host, "grant", "DISTRIBUTE_GENESIS", "DEAD", &cancelled).await);
    dead.push(add(&host, "requested again", "FREEZE_WALLET", "DEAD", &cancelled).await);
    let other = add(&host, "other", "FREEZE_WALLET", "DEAD", &json!({})).await;
    let charge = r#"UPDATE "OutboxCommand" SET failures = jsonb_build_object($2::text, 5)
                    WHERE "commandId" = ANY($1)"#;
    for (ids, class) in [(&dead, "INVALID"), (&vec![other.clone()], "STORAGE")] {
        sqlx::query(charge).bind(ids).bind(class).execute(host.database.pool()).await.unwrap();
    }
    let since = host.clock.now() - std::time::Duration::from_secs(60);
    let since = since.format(&time::format_description::well_known::Rfc3339).unwrap();
    let ask = async |more: Value| {
        let mut body =
            json!({ "class": "INVALID", "since": since, "reason": "the policy is back" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        host.post("/api/v1/admin/outbox/retry", &token, &body).await
    };

    let counted = ask(json!({ "dryRun": true })).await;
    assert_eq!((counted.code(), &counted.json["matching"]), (200, &json!(122)));
    assert_eq!(ask(json!({ "until": since, "dryRun": true })).await.json["matching"], 0);
    let done = ask(json!({})).await;
    assert_eq!(done.code(), 200, "{}", done.text);
    let ends = ["lookedAt", "done", "reissued", "onceCancelled", "notPossible", "failed"];
    let ends: Vec<u64> = ends.iter().map(|end| done.json[end].as_u64().unwrap()).collect();
    assert_eq!(ends, [122, 120, 1, 0, 1, 0], "{}", done.text);
    assert!(done.has_null_at("/nextAfter"), "{}", done.text);
    let standing = async |id: &str| {
        let path = format!("/api/v1/admin/outbox/{id}");
        host.get(&path, &token).await.json["status"].clone()
    };
    assert_eq!(standing(&dead[0]).await, "PENDING");
    assert_eq!(standing(&other).await, "DEAD");
    let audit = host.get("/api/v1/admin/audit?limit=2", &token).await.json;
    let named: usize = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            assert_eq!(row["action"], "commands.retried");
            assert_eq!(row["after"]["reason"], "the policy is back");
            assert_eq!(row["after"]["filter"]["class"], "INVALID");
            row["after"]["commandIds"].as_array().unwrap().len()
        })
        .sum();
    assert_eq!(named, 121);
    let wrong = ask(json!({ "class": "BAD LUCK", "since": "yesterday" })).await;
    assert_eq!((wrong.code(), wrong.pointers()), (400, vec!["/class", "/since"]));
}

/// OUT-16: many commands are discarded; one whose row cannot be changed is counted and does not
/// stop the others.
#[tokio::test]
async fn many_commands_are_discarded_and_one_that_cannot_be_is_counted() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let mut pending = Vec::new();
    for n in 0..5 {
        pending.push(add(&host, &n.to_string(), "TRANSFER", "PENDING", &json!({})).await);
    }
    // A rule and not a trigger, which would change the schema that the services expect.
    let broken = format!(
        r#"CREATE RULE broken AS ON UPDATE TO "OutboxCommand" WHERE OLD."commandId" = '{}'
           DO ALSO INSERT INTO "OutboxLane" (lane) VALUES (0)"#,
        pending[3]
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(broken)).execute(host.database.pool()).await.unwrap();
    let body = json!({ "status": "PENDING", "kind": "TRANSFER", "reason": "by mistake" });
    let done = host.post("/api/v1/admin/outbox/discard", &token, &body).await;
    assert_eq!(done.code(), 200, "{}", done.text);
    assert_eq!((&done.json["onceCancelled"], &done.json["failed"]), (&json!(4), &json!(1)));
    let given_up = r#"SELECT count(*) FROM "OutboxCommand" WHERE "giveUp" ->> 'to' = 'DISCARDED'"#;
    let given_up: i64 = sqlx::query_scalar(given_up).fetch_one(host.database.pool()).await.unwrap();
    assert_eq!(given_up, 4);
    // Discarded commands stay PENDING until the ledger has cancelled them, and match no more.
    let again = host.post("/api/v1/admin/outbox/discard", &token, &body).await;
    assert_eq!((&again.json["lookedAt"], &again.json["failed"]), (&json!(1), &json!(1)));
}

/// OUT-16: a status whose commands cannot be retried or discarded is refused by name, also if they
/// are only to be counted.
#[tokio::test]
async fn a_status_that_an_action_does_not_allow_is_refused() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let discardable = "must be DEAD or PENDING or HELD or BLOCKED";
    for (action, status, why) in [
        ("retry", "PENDING", "must be DEAD"),
        ("discard", "SUBMITTED", discardable),
        ("discard", "COMMITTED", discardable),
    ] {
        for dry_run in [false, true] {
            let body = json!({ "status": status, "dryRun": dry_run, "reason": "by mistake" });
            let answer = host.post(&format!("/api/v1/admin/outbox/{action}"), &token, &body).await;
            assert_eq!((answer.code(), answer.problem()), (400, "validation_failed"));
            assert_eq!(answer.pointers(), ["/status"]);
            assert_eq!(answer.text_at("/errors/0/message"), why);
        }
    }
}

/// OUT-16: if the database fails after a step has committed, the submitter is woken for the
/// commands of that step, and the same request does the rest.
#[tokio::test]
async fn a_retry_that_fails_midway_wakes_the_submitter_and_can_be_repeated() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    for n in 0..120 {
        add(&host, &n.to_string(), "FREEZE_WALLET", "DEAD", &json!({})).await;
    }
    let last = r#"SELECT FROM "OutboxCommand"
                  WHERE number = (SELECT max(number) FROM "OutboxCommand") FOR UPDATE"#;
    let held = host.holding(last).await;
    let mut listener = Listener::register(host.database.pool()).await.unwrap();
    let body = json!({ "reason": "the peer is back" });
    let ask = async || host.post("/api/v1/admin/outbox/retry", &token, &body).await;
    let kill = async {
        host.waiting_for_locks(1).await;
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::raw_sql(kill).execute(host.database.pool()).await.unwrap();
    };
    let (broken, ()) = tokio::join!(ask(), kill);
    assert_eq!(broken.code(), 503, "{}", broken.text);
    let heard = tokio::time::timeout(Duration::from_secs(60), listener.heard()).await;
    heard.expect("the submitter is woken").unwrap();
    drop(held);
    let rest = ask().await;
    assert_eq!((rest.code(), &rest.json["done"]), (200, &json!(20)), "{}", rest.text);
}
