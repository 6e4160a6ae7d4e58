//! Approvals and denials, through the router.

use std::sync::Arc;

use gx_auth::testing::{Answer, TestHost};
use gx_auth::{AdminRole, audit};
use gx_model::{AccountStatus, CommandId, CommandStatus, FabricUserId};
use serde_json::{Value, json};
use time::macros::date;

use crate::tests::{host, identity};

async fn reviewer(host: &TestHost) -> String {
    host.add_administrator(AdminRole::Reviewer).await.access_token
}

async fn approve(host: &TestHost, token: &str, id: &str) -> Answer {
    host.post(&format!("/api/v1/admin/users/{id}/approve"), token, &json!({})).await
}

async fn deny(host: &TestHost, token: &str, id: &str) -> Answer {
    let body = json!({ "reasonCode": "UNREADABLE", "finality": "RETRY", "publicComment": "Again" });
    host.post(&format!("/api/v1/admin/users/{id}/deny"), token, &body).await
}

/// KYC-04, G5: an approval is one transaction with the reservation, the status, the decision, both
/// commands in their order and the audit row; the only personal fact in the commands is the Fabric
/// User ID.
#[tokio::test]
async fn an_approval_has_everything_in_one_transaction() {
    let host = host().await;
    let token = reviewer(&host).await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let answer = approve(&host, &token, &id).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    assert_eq!(answer.json["status"], "APPROVED_PENDING_ONCHAIN");
    let user_id: FabricUserId = answer.text_at("/fabricUserId").parse().unwrap();
    user_id.verify("sarah@gxtest.com", date!(1992 - 08 - 20), "MY".parse().unwrap()).unwrap();
    let expected = ["CREATE_USER", "DISTRIBUTE_GENESIS"]
        .map(|kind| CommandId::derive(&[&id, kind, "1"]).to_string());
    assert_eq!(answer.json["commandIds"], json!(expected));

    let pool = host.database.pool();
    let user: (String, String, Option<String>, String) = sqlx::query_as(
        r#"SELECT status, "onchainStatus", "fabricUserId", "reviewedBy" FROM "UserProfile""#,
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!((&*user.0, &*user.1, user.2), ("APPROVED_PENDING_ONCHAIN", "PENDING", None));
    let reserved: (String, String) =
        sqlx::query_as(r#"SELECT "fabricUserId", "commandId" FROM "FabricIdReservation""#)
            .fetch_one(pool)
            .await
            .unwrap();
    assert_eq!(reserved, (user_id.to_string(), expected[0].clone()));
    let commands: Vec<(String, String, Value, String, String)> = sqlx::query_as(
        r#"SELECT "commandId", kind, payload, "profileId", "requestedBy"
           FROM "OutboxCommand" ORDER BY number"#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert_eq!(
        commands.iter().map(|row| row.1.as_str()).collect::<Vec<_>>(),
        ["CREATE_USER", "DISTRIBUTE_GENESIS"]
    );
    assert!(commands.iter().all(|row| row.4 == user.3), "the actor is the token's subject");
    let payload = &commands[0].2;
    assert_eq!(payload["age"], 33);
    assert_eq!(payload["nationality"], "MY");
    assert_eq!(payload["biometricHash"].as_str().unwrap().len(), 64);
    assert_eq!(payload.as_object().unwrap().len(), 4);
    for command in &commands {
        for fact in ["sarah", "johnson", "gxtest", "+6012", id.as_str()] {
            assert!(!command.2.to_string().to_lowercase().contains(fact));
        }
    }
    let mut conn = host.base.connection().await.unwrap();
    assert_eq!(audit::verify(&mut conn).await.unwrap().unsealed, 1);
    let answer = host.get("/api/v1/admin/users/nobody", &token).await;
    assert_eq!((answer.code(), answer.problem()), (404, "no_user"));
    let answer = host.get(&format!("/api/v1/admin/users/{id}"), &token).await;
    assert_eq!(answer.json["verifications"][0]["status"], "APPROVED");
}

/// API-12, KYC-01: every decision in every status, against the table of statuses.
#[tokio::test]
async fn a_decision_is_possible_under_review_only() {
    let host = host().await;
    let token = reviewer(&host).await;
    for status in AccountStatus::ALL {
        for decide in ["approve", "deny"] {
            let email = format!("{status}.{decide}@gxtest.com").to_lowercase();
            let id = host.add_person(&email, status).await;
            let decision = async || match decide {
                "approve" => approve(&host, &token, &id).await,
                _ => deny(&host, &token, &id).await,
            };
            let answer = decision().await;
            if status == AccountStatus::PendingAdminApproval {
                assert_eq!(answer.code(), 200, "{status} {decide}: {}", answer.text);
            }
            let again = if status == AccountStatus::PendingAdminApproval {
                decision().await
            } else {
                answer
            };
            assert_eq!(
                (again.code(), again.problem()),
                (409, "not_under_review"),
                "{status} {decide}"
            );
        }
    }
    let now: Vec<(String, i64)> =
        sqlx::query_as(r#"SELECT status, count(*) FROM "UserProfile" GROUP BY status"#)
            .fetch_all(host.database.pool())
            .await
            .unwrap();
    let count = |status: AccountStatus| {
        now.iter().find(|(name, _)| name == status.name()).map_or(0, |(_, count)| *count)
    };
    assert_eq!(count(AccountStatus::PendingAdminApproval), 0);
    assert_eq!(count(AccountStatus::ApprovedPendingOnchain), 3);
    assert_eq!(count(AccountStatus::Denied), 3);
}

/// API-12, KYC-01: of two approvals at the same time one succeeds, and the other gets 409.
#[tokio::test]
async fn of_two_approvals_at_the_same_time_one_succeeds() {
    let host = Arc::new(host().await);
    let token = reviewer(&host).await;
    for round in 0..5 {
        let email = format!("race{round}@gxtest.com");
        let id = host.add_person(&email, AccountStatus::PendingAdminApproval).await;
        let mut both = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let (host, token, id) = (Arc::clone(&host), token.clone(), id.clone());
            both.spawn(async move { approve(&host, &token, &id).await.code() });
        }
        let mut codes = both.join_all().await;
        codes.sort_unstable();
        assert_eq!(codes, [200, 409]);
    }
    let commands: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "OutboxCommand""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(commands, 10);
}

/// API-12: a submitted user is listed in the review queue.
#[tokio::test]
async fn a_submitted_user_is_listed() {
    let host = host().await;
    let token = reviewer(&host).await;
    let identity = identity(&host);
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    host.add_person("other@gxtest.com", AccountStatus::Registered).await;
    let listed = async || {
        let path = "/api/v1/admin/users?status=PENDING_ADMIN_APPROVAL";
        host.get(path, &token).await.json["items"].as_array().unwrap().clone()
    };
    assert!(listed().await.is_empty());
    let person = host.session_of(&id).await.access_token;
    let submit = host.ask("POST", "/api/v1/users/me/kyc/submit").token(&person);
    assert_eq!(submit.send_to(&identity).await.code(), 200);
    let items = listed().await;
    assert_eq!((items.len(), items[0]["profileId"].as_str()), (1, Some(id.as_str())));
}

/// FAB-14, G2: the same approval always draws the same id; if another person has that id, another
/// one is drawn, and the approval succeeds.
#[tokio::test]
async fn a_collision_draws_again_and_ends_approved() {
    const PROFILE: &str = "01a2038a-0000-7000-8000-000000000014";
    let mut drawn: Vec<String> = Vec::new();
    for taken in [false, false, true] {
        let host = host().await;
        let token = reviewer(&host).await;
        let other = host.add_person("other@gxtest.com", AccountStatus::Active).await;
        let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
        let run = async |sql: &'static str, first: &str, second: &str| {
            let sql = sqlx::query(sql).bind(first).bind(second);
            sql.execute(host.database.pool()).await.unwrap();
        };
        let same_person = r#"UPDATE "UserProfile" SET "profileId" = $1 WHERE "profileId" = $2"#;
        run(same_person, PROFILE, &id).await;
        if taken {
            let reserve = r#"INSERT INTO "FabricIdReservation"
                                 ("fabricUserId", "profileId", "commandId", "reservedAt")
                             VALUES ($1, $2, 'taken', now())"#;
            run(reserve, &drawn[0], &other).await;
        }
        let answer = approve(&host, &token, PROFILE).await;
        assert_eq!(answer.code(), 200, "{}", answer.text);
        drawn.push(answer.text_at("/fabricUserId").to_owned());
    }
    assert_eq!(drawn[0], drawn[1], "the same approval draws the same id");
    assert_ne!(drawn[0], drawn[2], "the same draw was taken and another one made");
}

/// FAB-14: the database refuses a malformed id, also in a hand-written statement.
#[tokio::test]
async fn the_database_refuses_malformed_ids() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    for malformed in ["MY 463 AUN834 0QKZB 582", "my 463 AUN834 0QKZB 5821", "MY463AUN8340QKZB5821"]
    {
        let reserve =
            sqlx::query(r#"INSERT INTO "FabricIdReservation" VALUES ($1, $2, 'command', now())"#);
        let refused = reserve.bind(malformed).bind(&id).execute(host.database.pool()).await;
        let refused = refused.unwrap_err().into_database_error().unwrap();
        assert_eq!(refused.constraint(), Some("FabricIdReservation_fabricUserId_form"));
    }
}

/// An incomplete person is not approved: the missing fields are listed, and no command is enqueued.
#[tokio::test]
async fn an_incomplete_person_is_not_approved() {
    let host = host().await;
    let token = reviewer(&host).await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    sqlx::query(r#"UPDATE "UserProfile" SET "phoneNum" = NULL, "nationalityCountryCode" = NULL"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    let before = host.rows().await;
    let answer = approve(&host, &token, &id).await;
    assert_eq!((answer.code(), answer.problem()), (422, "incomplete"));
    assert_eq!(answer.pointers(), ["/nationalityCountryCode", "/phoneNum"]);
    assert_eq!(host.rows().await, before);
}

/// KYC-02: a denial needs a reason code and a finality; both comments are stored, and the private
/// one is not shown to the person.
#[tokio::test]
async fn a_denial_needs_a_reason_and_a_finality() {
    let host = host().await;
    let token = reviewer(&host).await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let path = format!("/api/v1/admin/users/{id}/deny");
    let before = host.rows().await;
    let answer = host.post(&path, &token, &json!({ "finality": "LATER" })).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/reasonCode", "/finality"]));
    assert_eq!(host.rows().await, before);
    let body = json!({ "reasonCode": "DOCUMENT_FORGED", "finality": "FINAL",
                       "publicComment": "Sorry", "privateComment": "KnownPerson forger" });
    assert_eq!(host.post(&path, &token, &body).await.code(), 200);
    let user = host.get(&format!("/api/v1/admin/users/{id}"), &token).await;
    let decision = &user.json["verifications"][0];
    assert_eq!(decision["privateComment"], "KnownPerson forger");
    assert_eq!(user.json["user"]["denialFinality"], "FINAL");
}

/// A locked account is not approved.
#[tokio::test]
async fn a_locked_account_is_not_approved() {
    let host = host().await;
    let token = reviewer(&host).await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    sqlx::query(r#"UPDATE "UserProfile" SET "isLocked" = true"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    let answer = approve(&host, &token, &id).await;
    assert_eq!((answer.code(), answer.problem()), (409, "account_locked"));
}

/// An approval after a refusal of the ledger has another number and so another command.
#[tokio::test]
async fn a_second_approval_has_commands_of_its_own() {
    let host = host().await;
    let token = reviewer(&host).await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let first = approve(&host, &token, &id).await;
    sqlx::query(
        r#"UPDATE "UserProfile" SET status = 'PENDING_ADMIN_APPROVAL', "onchainStatus" = 'FAILED'"#,
    )
    .execute(host.database.pool())
    .await
    .unwrap();
    let second = approve(&host, &token, &id).await;
    assert_eq!(second.code(), 200, "{}", second.text);
    assert_ne!(first.json["commandIds"], second.json["commandIds"]);
    assert_ne!(first.json["fabricUserId"], second.json["fabricUserId"]);
    let outbox = host.get("/api/v1/admin/outbox?status=PENDING", &token).await;
    assert_eq!(outbox.json["items"].as_array().unwrap().len(), 4);
    assert_eq!(outbox.json["items"][0]["status"], CommandStatus::Pending.name());
}

/// OUT-07, API-12: if a batch with one person who cannot be approved is sent twice at the same
/// time, each other person has one pair of commands, and the refused one the same reason in both
/// answers.
#[tokio::test]
async fn a_batch_is_approved_member_by_member_and_once() {
    let host = host().await;
    let token = reviewer(&host).await;
    let waiting = AccountStatus::PendingAdminApproval;
    let sarah = host.add_person("sarah@gxtest.com", waiting).await;
    let denied = host.add_person("denied@gxtest.com", AccountStatus::Denied).await;
    let wei = host.add_person("wei@gxtest.com", waiting).await;
    let body = json!({ "profileIds": [sarah, denied, wei], "note": "batch 7" });
    let path = "/api/v1/admin/users/batch-approve";
    let send = async || host.post(path, &token, &body).await;
    let (one, other) = tokio::join!(send(), send());
    assert_eq!((one.code(), other.code()), (200, 200), "{}{}", one.text, other.text);
    assert_eq!(one.json, other.json);
    assert_eq!(send().await.json, one.json, "and whenever it is repeated");
    let results = &one.json["results"];
    for (at, id) in [(0, &sarah), (2, &wei)] {
        assert_eq!(results[at]["profileId"], **id);
        let expected = ["CREATE_USER", "DISTRIBUTE_GENESIS"]
            .map(|kind| CommandId::derive(&[id, kind, "1"]).to_string());
        assert_eq!(results[at]["approved"]["commandIds"], json!(expected));
    }
    assert_eq!(results[1]["refused"]["code"], "not_under_review");
    let commands: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "OutboxCommand""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(commands, 4);
    let mut conn = host.base.connection().await.unwrap();
    assert_eq!(
        audit::verify(&mut conn).await.unwrap().unsealed,
        2,
        "an audit row for each approval"
    );
}

/// A batch has a limit, and its result for each person is that of a single approval.
#[tokio::test]
async fn a_batch_names_what_each_member_lacks() {
    let host = host().await;
    let token = reviewer(&host).await;
    let sarah = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    sqlx::query(r#"UPDATE "UserProfile" SET "phoneNum" = NULL"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    let path = "/api/v1/admin/users/batch-approve";
    let answer = host.post(path, &token, &json!({ "profileIds": [sarah, "nobody"] })).await;
    let refusals = [0, 1].map(|member| &answer.json["results"][member]["refused"]);
    assert_eq!(refusals[0]["missing"], json!(["/phoneNum"]));
    assert_eq!(refusals.map(|refusal| &refusal["code"]), ["incomplete", "no_user"]);
    let too_many = vec!["x"; 101];
    for wrong in [json!([]), json!("x"), json!([1]), json!(["\u{0}"]), json!(too_many)] {
        let answer = host.post(path, &token, &json!({ "profileIds": wrong })).await;
        assert_eq!((answer.code(), answer.pointers()), (400, vec!["/profileIds"]), "{wrong}");
    }
}
