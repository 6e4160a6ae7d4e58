//! Freezes, through the routers and on a read model that the tests write.

use gx_auth::AdminRole;
use gx_auth::testing::{Answer, CHANNEL, TestHost};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use crate::tests::host;

const SARAH: &str = "MY 463 AUN834 0QKZB 5821";

async fn add_ledger_user(host: &TestHost, profile_id: &str) {
    sqlx::query(
        r#"INSERT INTO "LedgerUser" ("fabricUserId", "profileId", "countryCode", "createdTxId",
               "createdAt")
           VALUES ($2, $1, 'MY', 'tx', now())"#,
    )
    .bind(profile_id)
    .bind(SARAH)
    .execute(host.database.pool())
    .await
    .unwrap();
}

async fn set(host: &TestHost, token: &str, id: &str, action: &str) -> Answer {
    let body = json!({ "reason": "COURT_ORDER", "notes": "case 7" });
    host.post(&format!("/api/v1/admin/users/{id}/{action}"), token, &body).await
}

async fn freeze_of(host: &TestHost, token: &str, id: &str) -> Value {
    host.get(&format!("/api/v1/admin/users/{id}"), token).await.json["user"]["freeze"].clone()
}

async fn settle(host: &TestHost, status: &str, is_frozen: bool) {
    sqlx::query(
        r#"UPDATE "OutboxCommand" SET status = $1, "settledAt" = now(), outcome =
               '{"status":"REFUSED","rejection":{"code":"ALREADY_FROZEN","detail":""}}'
           WHERE status = 'PENDING'"#,
    )
    .bind(status)
    .execute(host.database.pool())
    .await
    .unwrap();
    sqlx::query(r#"UPDATE "LedgerUser" SET "isFrozen" = $1"#)
        .bind(is_frozen)
        .execute(host.database.pool())
        .await
        .unwrap();
}

/// OUT-13, API-02: a freeze is pending until the ledger answers, final if the ledger confirms it,
/// and visibly undone if the ledger refuses it; the audit log has the administrator.
#[tokio::test]
async fn a_freeze_is_pending_then_final_or_visibly_undone() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    assert_eq!(set(&host, &token, &id, "freeze").await.problem(), "not_on_ledger");
    add_ledger_user(&host, &id).await;
    assert_eq!(set(&host, &token, &id, "unfreeze").await.problem(), "already_so");

    let answer = set(&host, &token, &id, "freeze").await;
    assert_eq!(answer.code(), 202);
    let pending = json!({ "isFrozen": false, "pending": "FREEZE_WALLET", "lastRefusal": null });
    assert_eq!(freeze_of(&host, &token, &id).await, pending);
    let repeated = set(&host, &token, &id, "freeze").await;
    assert_eq!((repeated.code(), &repeated.json), (202, &answer.json), "OUT-07");
    assert_eq!(set(&host, &token, &id, "unfreeze").await.problem(), "freeze_in_progress");

    settle(&host, "REFUSED", false).await;
    let undone = json!({ "isFrozen": false, "pending": null, "lastRefusal": "ALREADY_FROZEN" });
    assert_eq!(freeze_of(&host, &token, &id).await, undone);

    let again = set(&host, &token, &id, "freeze").await;
    assert_eq!(again.code(), 202);
    assert_ne!(again.text_at("/commandId"), answer.text_at("/commandId"));
    settle(&host, "COMMITTED", true).await;
    let confirmed = json!({ "isFrozen": true, "pending": null, "lastRefusal": null });
    assert_eq!(freeze_of(&host, &token, &id).await, confirmed);
    assert_eq!(set(&host, &token, &id, "freeze").await.problem(), "already_so");
    assert_eq!(set(&host, &token, &id, "unfreeze").await.code(), 202);

    let log = host.get("/api/v1/admin/audit", &token).await;
    let actions: Vec<_> =
        log.json["items"].as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
    assert_eq!(actions.iter().filter(|action| **action == "user.freeze_sent").count(), 2);
}

/// FAB-10: while the ledger is paused, no person is frozen, unfrozen or approved.
#[tokio::test]
async fn no_command_is_enqueued_while_the_system_is_paused() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let (active, waiting) = (AccountStatus::Active, AccountStatus::PendingAdminApproval);
    let frozen = host.add_person("sarah@gxtest.com", active).await;
    let new = host.add_person("wei@gxtest.com", waiting).await;
    add_ledger_user(&host, &frozen).await;
    sqlx::query(
        r#"INSERT INTO "LedgerSystem" (channel, "isPaused", "pauseReason")
           VALUES ($1, true, 'DRILL')
           ON CONFLICT (channel) DO UPDATE SET "isPaused" = true, "pauseReason" = 'DRILL'"#,
    )
    .bind(CHANNEL)
    .execute(host.database.pool())
    .await
    .unwrap();
    assert_eq!(set(&host, &token, &frozen, "freeze").await.problem(), "system_paused");
    let approve = format!("/api/v1/admin/users/{new}/approve");
    assert_eq!(host.post(&approve, &token, &json!({})).await.problem(), "system_paused");
    let batch = json!({ "profileIds": [new] });
    let answer = host.post("/api/v1/admin/users/batch-approve", &token, &batch).await;
    assert_eq!(answer.problem(), "system_paused");
    let sent: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "OutboxCommand""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(sent, 0);
}

/// G5, LOG-03: the ledger gets the reason code and never the notes. The audit log's entry has the
/// code, too, and the notes are apart.
#[tokio::test]
async fn the_ledger_gets_only_a_reason_code() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    add_ledger_user(&host, &id).await;
    let path = format!("/api/v1/admin/users/{id}/freeze");
    let answer = host.post(&path, &token, &json!({ "reason": "BECAUSE" })).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/reason"]));
    assert_eq!(set(&host, &token, &id, "freeze").await.code(), 202);
    let payload: Value = sqlx::query_scalar(r#"SELECT payload FROM "OutboxCommand""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(payload, json!({ "userId": SARAH, "reasonCode": "COURT_ORDER" }));
    let entry: Value = sqlx::query_scalar(r#"SELECT after FROM "AuditEntry""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(entry["reason"], "COURT_ORDER");
    assert!(entry["notes"]["textHash"].is_string(), "{entry}");
    assert_eq!(set(&host, &token, "nobody", "freeze").await.problem(), "no_user");
}
