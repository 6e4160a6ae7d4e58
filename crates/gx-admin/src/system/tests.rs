//! Pause, resume and treasuries, through the router and on a read model that the tests write.

use gx_auth::AdminRole;
use gx_auth::testing::{Answer, CHANNEL, TestHost};
use serde_json::{Value, json};

use crate::tests::host;

async fn post(host: &TestHost, token: &str, path: &str, body: &Value) -> Answer {
    host.post(&format!("/api/v1/admin/{path}"), token, body).await
}

async fn pause(host: &TestHost, token: &str) -> Answer {
    post(host, token, "system/pause", &json!({ "reason": "INCIDENT", "notes": "see ticket" })).await
}

async fn resume(host: &TestHost, token: &str) -> Answer {
    post(host, token, "system/resume", &json!({ "reason": "the cause is gone" })).await
}

/// Settles all commands, and lets the ledger be paused or not.
async fn settle(host: &TestHost, is_paused: bool) {
    sqlx::query(
        r#"UPDATE "OutboxCommand" SET status = 'COMMITTED', "settledAt" = now()
           WHERE "settledAt" IS NULL"#,
    )
    .execute(host.database.pool())
    .await
    .unwrap();
    sqlx::query(
        r#"INSERT INTO "LedgerSystem" (channel, "isPaused", "pauseReason")
           VALUES ($1, $2, CASE WHEN $2 THEN 'INCIDENT' END)
           ON CONFLICT (channel) DO UPDATE
           SET "isPaused" = excluded."isPaused", "pauseReason" = excluded."pauseReason""#,
    )
    .bind(CHANNEL)
    .bind(is_paused)
    .execute(host.database.pool())
    .await
    .unwrap();
}

async fn commands(host: &TestHost) -> Vec<(String, Value, String)> {
    sqlx::query_as(r#"SELECT kind, payload, "signerRole" FROM "OutboxCommand" ORDER BY number"#)
        .fetch_all(host.database.pool())
        .await
        .unwrap()
}

/// FAB-10, OUT-07: a pause and a resume are commands of the outbox; while one is not settled, the
/// same request gets the same command and the opposite one is refused.
#[tokio::test]
async fn the_ledger_is_paused_and_resumed_through_the_outbox() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::SuperAdmin).await.access_token;
    settle(&host, false).await;
    assert_eq!(resume(&host, &token).await.problem(), "already_so");
    let (one, other) = tokio::join!(pause(&host, &token), pause(&host, &token));
    assert_eq!((one.code(), other.code()), (202, 202), "{}{}", one.text, other.text);
    assert_eq!(one.json, other.json);
    assert_eq!(resume(&host, &token).await.problem(), "pause_in_progress");
    settle(&host, true).await;
    assert_eq!(pause(&host, &token).await.problem(), "already_so");
    assert_eq!(resume(&host, &token).await.code(), 202);
    let paused = ("PAUSE_SYSTEM", json!({ "reasonCode": "INCIDENT" }), "SUPER_ADMIN");
    let resumed = ("RESUME_SYSTEM", json!({}), "SUPER_ADMIN");
    let sent =
        [paused, resumed].map(|(kind, payload, role)| (kind.to_owned(), payload, role.to_owned()));
    assert_eq!(commands(&host).await, sent);
    let log = host.get("/api/v1/admin/audit", &token).await;
    assert_eq!(log.json["items"][0]["action"], "system.resume_sent");
    assert_eq!(log.json["items"][0]["after"]["reason"], "the cause is gone");
    assert_eq!(log.json["items"][1]["after"]["notes"], "see ticket");
    assert_eq!(log.json["items"].as_array().unwrap().len(), 2);
}

/// OUT-07: a treasury is activated once, and only one that the ledger has.
#[tokio::test]
async fn a_treasury_is_activated_through_the_outbox() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::SuperAdmin).await.access_token;
    let activate = async |country: &str| {
        let path = format!("treasury/{country}/activate");
        post(&host, &token, &path, &json!({ "reason": "the agreement is signed" })).await
    };
    settle(&host, false).await;
    for unknown in ["MY", "my", "nobody"] {
        let answer = activate(unknown).await;
        assert_eq!((answer.code(), answer.problem()), (404, "no_treasury"), "{unknown}");
    }
    sqlx::query(
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, balance, "isLocked", "lastTxId",
               "asOfBlock", "createdAt", "updatedAt")
           VALUES ('t', 'treasury_MY', 'TREASURY', 0, true, 'tx', 3, now(), now())"#,
    )
    .execute(host.database.pool())
    .await
    .unwrap();
    let first = activate("MY").await;
    assert_eq!(first.code(), 202, "{}", first.text);
    assert_eq!(activate("MY").await.json, first.json);
    settle(&host, true).await;
    assert_eq!(activate("MY").await.problem(), "system_paused");
    settle(&host, false).await;
    sqlx::query(r#"UPDATE "Wallet" SET "isLocked" = false"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    assert_eq!(activate("MY").await.problem(), "already_so");
    let payload = json!({ "countryCode": "MY" });
    let sent = ("ACTIVATE_TREASURY".to_owned(), payload, "ADMIN".to_owned());
    assert_eq!(commands(&host).await, [sent]);
}
