//! Claims, through the router.

use gx_auth::testing::{Answer, TestHost, all};
use gx_auth::{AdminRole, Audience, TokenUse};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use crate::tests::host;

/// An administrator who is signed in.
struct Staff {
    token: String,
    id: String,
}

async fn staff(host: &TestHost, role: AdminRole) -> Staff {
    let token = host.add_administrator(role).await.access_token;
    let tokens = host.base.auth.sessions.tokens();
    let id = tokens.verify(&token, TokenUse::Access, Audience::Admin).unwrap().sub;
    Staff { token, id }
}

async fn post(host: &TestHost, by: &Staff, id: &str, action: &str, body: &Value) -> Answer {
    host.post(&format!("/api/v1/admin/users/{id}/{action}"), &by.token, body).await
}

async fn claim(host: &TestHost, by: &Staff, id: &str) -> Answer {
    post(host, by, id, "claim", &json!({})).await
}

/// Ends every lease, as if its time had passed.
async fn let_leases_end(host: &TestHost) {
    sqlx::query(r#"UPDATE "ReviewClaim" SET "leaseUntil" = clock_timestamp()"#)
        .execute(host.database.pool())
        .await
        .unwrap();
}

async fn actions(host: &TestHost) -> Vec<String> {
    sqlx::query_scalar(r#"SELECT action FROM "AuditEntry" ORDER BY seq"#)
        .fetch_all(host.database.pool())
        .await
        .unwrap()
}

/// KYC-01: of claims at the same time one wins, and the others are told that somebody else has the
/// person; the audit log names the winner.
#[tokio::test]
async fn kyc_01_of_two_claims_at_the_same_time_one_wins() {
    let host = host().await;
    let [one, other] =
        [staff(&host, AdminRole::Reviewer).await, staff(&host, AdminRole::SuperAdmin).await];
    for round in 0..5 {
        let email = format!("race{round}@gxtest.com");
        let id = host.add_person(&email, AccountStatus::PendingAdminApproval).await;
        let claims = all([&one, &other].map(|by| claim(&host, by, &id))).await;
        let mut codes: Vec<u16> = claims.iter().map(Answer::code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [200, 409]);
        let lost = claims.iter().find(|answer| answer.code() == 409).unwrap();
        assert_eq!(lost.problem(), "claimed_by_other");
        let won = claims.iter().find(|answer| answer.code() == 200).unwrap();
        let by: String = sqlx::query_scalar(
            r#"SELECT after ->> 'assignee' FROM "AuditEntry" WHERE "targetId" = $1"#,
        )
        .bind(&id)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
        assert_eq!(won.text_at("/assignee"), by);
    }
}

/// KYC-01: while a lease lasts, nobody else decides, a batch neither; once it is over by the time
/// of the database, anybody may.
#[tokio::test]
async fn kyc_01_nobody_decides_during_the_lease_of_another() {
    let host = host().await;
    let [one, other] =
        [staff(&host, AdminRole::Reviewer).await, staff(&host, AdminRole::Reviewer).await];
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    assert_eq!(claim(&host, &one, &id).await.code(), 200);
    assert_eq!(claim(&host, &one, &id).await.code(), 200, "an own lease is renewed");
    assert_eq!(actions(&host).await, ["review.claimed"]);
    let before = host.rows().await;
    let denial = json!({ "reasonCode": "UNREADABLE", "finality": "RETRY" });
    for (action, body) in [("approve", &json!({})), ("deny", &denial), ("claim", &json!({}))] {
        let answer = post(&host, &other, &id, action, body).await;
        assert_eq!((answer.code(), answer.problem()), (409, "claimed_by_other"), "{action}");
    }
    let batch = json!({ "profileIds": [id] });
    let answer = host.post("/api/v1/admin/users/batch-approve", &other.token, &batch).await;
    assert_eq!(answer.text_at("/results/0/refused/code"), "claimed_by_other");
    assert_eq!(host.rows().await, before);
    let_leases_end(&host).await;
    let answer = post(&host, &other, &id, "deny", &denial).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    let left: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "ReviewClaim""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(left, 0, "a decision ends the claim");
}

/// KYC-01: a claim is released by its reviewer or an ADMIN, handed on by its reviewer, and taken
/// away by an ADMIN; only administrators who may review get people.
#[tokio::test]
async fn kyc_01_claims_are_released_and_assigned() {
    let host = host().await;
    let [one, other] =
        [staff(&host, AdminRole::Reviewer).await, staff(&host, AdminRole::Reviewer).await];
    let [admin, auditor] =
        [staff(&host, AdminRole::Admin).await, staff(&host, AdminRole::Auditor).await];
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let release = async |by: &Staff| post(&host, by, &id, "release", &json!({})).await;
    let assign = async |by: &Staff, to: &str| {
        post(&host, by, &id, "assign", &json!({ "adminId": to })).await
    };
    assert_eq!(claim(&host, &one, &id).await.code(), 200);
    assert_eq!(release(&other).await.problem(), "claimed_by_other");
    assert_eq!(assign(&other, &other.id).await.problem(), "claimed_by_other");
    assert_eq!(assign(&one, &other.id).await.text_at("/assignee"), other.id);
    assert_eq!(assign(&admin, &one.id).await.text_at("/assignee"), one.id);
    assert_eq!(assign(&admin, &auditor.id).await.problem(), "cannot_review");
    assert_eq!(assign(&admin, "nobody").await.problem(), "no_administrator");
    sqlx::query(r#"UPDATE "AdminUser" SET "isLocked" = true WHERE "adminId" = $1"#)
        .bind(&other.id)
        .execute(host.database.pool())
        .await
        .unwrap();
    assert_eq!(assign(&admin, &other.id).await.problem(), "cannot_review");
    for _ in 0..2 {
        let released = release(&admin).await;
        assert_eq!(released.json, json!({ "assignee": null, "leaseUntil": null }));
    }
    assert_eq!(
        actions(&host).await,
        ["review.claimed", "review.assigned", "review.assigned", "review.released"]
    );
}

/// KYC-01: only people under review are claimed.
#[tokio::test]
async fn kyc_01_only_people_under_review_are_claimed() {
    let host = host().await;
    let by = staff(&host, AdminRole::Reviewer).await;
    for status in AccountStatus::ALL {
        let id = host.add_person(&format!("{status}@gxtest.com").to_lowercase(), status).await;
        let answer = claim(&host, &by, &id).await;
        match status {
            AccountStatus::PendingAdminApproval => assert_eq!(answer.code(), 200),
            _ => assert_eq!(answer.problem(), "not_under_review", "{status}"),
        }
    }
    assert_eq!(claim(&host, &by, "nobody").await.problem(), "no_user");
}
