//! Suspensions, closings and legal holds, through the routers and on a read model that the tests
//! write.

use gx_auth::AdminRole;
use gx_auth::testing::{Answer, PASSWORD, TestHost};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use crate::tests::{host, identity};

const SARAH: &str = "MY 463 AUN834 0QKZB 5821";

async fn set(host: &TestHost, token: &str, id: &str, action: &str) -> Answer {
    let body = json!({ "reason": "suspicious", "notes": "seen twice" });
    host.post(&format!("/api/v1/admin/users/{id}/{action}"), token, &body).await
}

async fn status(host: &TestHost, id: &str) -> String {
    let sql = r#"SELECT status FROM "UserProfile" WHERE "profileId" = $1"#;
    sqlx::query_scalar(sql).bind(id).fetch_one(host.database.pool()).await.unwrap()
}

async fn add_ledger_user(host: &TestHost, id: &str, is_frozen: bool) {
    sqlx::query(
        r#"INSERT INTO "LedgerUser" ("fabricUserId", "profileId", "countryCode", "createdTxId",
               "createdAt", "isFrozen")
           VALUES ($2, $1, 'MY', 'tx', now(), $3)
           ON CONFLICT ("fabricUserId") DO UPDATE SET "isFrozen" = excluded."isFrozen""#,
    )
    .bind(id)
    .bind(SARAH)
    .bind(is_frozen)
    .execute(host.database.pool())
    .await
    .unwrap();
}

async fn newest_entry(host: &TestHost, token: &str) -> Value {
    host.get("/api/v1/admin/audit?limit=1", token).await.json["items"][0].clone()
}

/// KYC-01, API-12: an account is suspended only from ACTIVE and FROZEN; its next request is
/// refused, nobody signs in, and after it is reinstated the person needs a new sign-in.
#[tokio::test]
async fn kyc_01_a_suspended_account_is_refused_at_the_next_request() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let identity = identity(&host);
    for before in AccountStatus::ALL {
        let email = format!("{before}@gxtest.com").to_lowercase();
        let id = host.add_person(&email, before).await;
        let session = host.session_of(&id).await.access_token;
        let look = async || {
            host.ask("GET", "/api/v1/users/me").token(&session).send_to(&identity).await.code()
        };
        let answer = set(&host, &token, &id, "suspend").await;
        if ![AccountStatus::Active, AccountStatus::Frozen].contains(&before) {
            let expected = match before {
                AccountStatus::Suspended => "already_so",
                _ => "wrong_status",
            };
            assert_eq!(answer.problem(), expected, "{before}");
            assert_eq!(status(&host, &id).await, before.name());
            continue;
        }
        assert_eq!((answer.code(), &answer.json), (200, &json!({ "status": "SUSPENDED" })));
        assert_eq!(look().await, 401);
        let login = json!({ "email": email, "password": PASSWORD });
        let login = host.ask("POST", "/api/v1/auth/login").json(&login);
        assert_eq!(login.send_to(&identity).await.problem(), "invalid_credentials");
        let entry = newest_entry(&host, &token).await;
        assert_eq!(entry["action"], "user.suspended");
        assert_eq!(entry["before"], json!({ "status": before }));
        assert_eq!(entry["after"]["reason"], "suspicious");
        assert_eq!(set(&host, &token, &id, "suspend").await.problem(), "already_so");
        assert_eq!(set(&host, &token, &id, "reinstate").await.text_at("/status"), "ACTIVE");
        assert_eq!(set(&host, &token, &id, "reinstate").await.problem(), "already_so");
        assert_eq!(look().await, 401, "the session has ended");
    }
    assert_eq!(set(&host, &token, "nobody", "suspend").await.problem(), "no_user");
}

/// KYC-01: an account that was frozen on the ledger before or during its suspension is FROZEN after
/// it.
#[tokio::test]
async fn kyc_01_a_reinstated_account_is_as_frozen_as_its_wallet() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    for is_frozen in [true, false] {
        assert_eq!(set(&host, &token, &id, "suspend").await.code(), 200);
        add_ledger_user(&host, &id, is_frozen).await;
        let expected = if is_frozen { "FROZEN" } else { "ACTIVE" };
        assert_eq!(set(&host, &token, &id, "reinstate").await.text_at("/status"), expected);
        assert_eq!(status(&host, &id).await, expected);
    }
}

/// PRIV-01: an administrator closes an account in any status, once, and not while there is money in
/// it; the reason is in the audit log.
#[tokio::test]
async fn priv_01_an_administrator_closes_an_account_without_funds() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    for before in AccountStatus::ALL {
        let id = host.add_person(&format!("{before}@gxtest.com").to_lowercase(), before).await;
        let answer = set(&host, &token, &id, "close").await;
        if before == AccountStatus::Closed {
            assert_eq!(answer.problem(), "already_so");
            continue;
        }
        assert_eq!((answer.code(), &answer.json), (200, &json!({ "status": "CLOSED" })));
        let entry = newest_entry(&host, &token).await;
        assert_eq!((&entry["action"], &entry["targetId"]), (&json!("user.closed"), &json!(id)));
        assert_eq!(entry["after"]["notes"], "seen twice");
        let user = host.get(&format!("/api/v1/admin/users/{id}"), &token).await;
        assert!(user.json["user"]["closedAt"].is_string(), "{}", user.text);
    }
    let id = host.add_person("rich@gxtest.com", AccountStatus::Active).await;
    sqlx::query(
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, "profileId", "fabricUserId",
               balance, "lastTxId", "asOfBlock", "createdAt", "updatedAt")
           VALUES ('w', $2, 'USER', $1, $2, 1, 'tx', 0, now(), now())"#,
    )
    .bind(&id)
    .bind(SARAH)
    .execute(host.database.pool())
    .await
    .unwrap();
    let answer = set(&host, &token, &id, "close").await;
    assert_eq!((answer.code(), answer.problem()), (409, "account_has_funds"));
    assert_eq!(status(&host, &id).await, "ACTIVE");
    assert_eq!(set(&host, &token, "nobody", "close").await.problem(), "no_user");
}

/// PRIV-01: a person who was just approved has unsettled commands, and stays open until they are
/// settled.
#[tokio::test]
async fn priv_01_an_account_with_unsettled_commands_stays_open() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let approve = format!("/api/v1/admin/users/{id}/approve");
    assert_eq!(host.post(&approve, &token, &json!({})).await.code(), 200);
    assert_eq!(set(&host, &token, &id, "close").await.problem(), "account_has_funds");
    sqlx::query(r#"UPDATE "OutboxCommand" SET status = 'REFUSED', "settledAt" = now()"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    assert_eq!(set(&host, &token, &id, "close").await.code(), 200);
}

/// PRIV-01: a legal hold is set and ended once, with its administrator and reason, and does not
/// change the status.
#[tokio::test]
async fn priv_01_a_legal_hold_is_recorded_until_it_ends() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Closed).await;
    let end = async || {
        let path = format!("/api/v1/admin/users/{id}/legal-hold");
        let body = json!({ "reason": "the case is closed" });
        host.ask("DELETE", &path).token(&token).json(&body).send().await
    };
    let held = async || -> (bool, bool) {
        sqlx::query_as(
            r#"SELECT "legalHoldAt" IS NOT NULL, "legalHoldBy" IS NOT NULL FROM "UserProfile""#,
        )
        .fetch_one(host.database.pool())
        .await
        .unwrap()
    };
    assert_eq!(end().await.problem(), "already_so");
    assert_eq!(set(&host, &token, &id, "legal-hold").await.text_at("/status"), "CLOSED");
    assert_eq!(held().await, (true, true));
    assert_eq!(set(&host, &token, &id, "legal-hold").await.problem(), "already_so");
    assert_eq!(newest_entry(&host, &token).await["action"], "user.legal_hold_set");
    let ended = end().await;
    assert_eq!((ended.code(), ended.text_at("/status")), (200, "CLOSED"), "{}", ended.text);
    assert_eq!(held().await, (false, false));
    assert_eq!(newest_entry(&host, &token).await["after"]["reason"], "the case is closed");
}
