//! Four eyes, through the router and on a read model that the tests write.

use gx_auth::testing::{Answer, CHANNEL, TestHost, all};
use gx_auth::{AdminRole, Audience, TokenUse, audit};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use crate::tests::{no_documents, settings};
use crate::{AdminSettings, FourEyesAct, ReviewSettings, service};

const SARAH: &str = "MY 463 AUN834 0QKZB 5821";

/// Returns svc-admin in which every act needs a second administrator.
async fn host() -> TestHost {
    let review =
        ReviewSettings { four_eyes: FourEyesAct::ALL.to_vec(), ..ReviewSettings::default() };
    let settings = AdminSettings { review, ..settings() };
    TestHost::new(|base| {
        let documents = no_documents(&base);
        service(&settings, base, documents)
    })
    .await
}

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

async fn post(host: &TestHost, by: &Staff, path: &str, body: &Value) -> Answer {
    host.post(&format!("/api/v1/admin/{path}"), &by.token, body).await
}

async fn approve(host: &TestHost, by: &Staff, id: &str) -> Answer {
    post(host, by, &format!("users/{id}/approve"), &json!({ "note": "looks right" })).await
}

async fn decide(host: &TestHost, by: &Staff, proposal: &str, decision: &str) -> Answer {
    post(host, by, &format!("proposals/{proposal}/{decision}"), &json!({ "note": "seen" })).await
}

async fn run(host: &TestHost, sql: &'static str) {
    sqlx::query(sql).execute(host.database.pool()).await.unwrap();
}

async fn one(host: &TestHost, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(host.database.pool()).await.unwrap()
}

const COMMANDS: &str = r#"SELECT count(*) FROM "OutboxCommand""#;

async fn actions(host: &TestHost) -> Vec<String> {
    sqlx::query_scalar(r#"SELECT action FROM "AuditEntry" ORDER BY seq"#)
        .fetch_all(host.database.pool())
        .await
        .unwrap()
}

/// KYC-03: where four eyes are set, an approval waits for another administrator: the same person is
/// refused, the other one's confirmation does what the direct approval does, and every step is
/// audited.
#[tokio::test]
async fn kyc_03_nobody_approves_alone() {
    let host = host().await;
    let [one_of, other] =
        [staff(&host, AdminRole::Reviewer).await, staff(&host, AdminRole::SuperAdmin).await];
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let claim = post(&host, &one_of, &format!("users/{id}/claim"), &json!({})).await;
    assert_eq!(claim.code(), 200);
    let proposed = approve(&host, &one_of, &id).await;
    assert_eq!(proposed.code(), 202, "{}", proposed.text);
    let proposal = proposed.text_at("/proposalId");
    assert_eq!(approve(&host, &one_of, &id).await.json, proposed.json, "asked again");
    assert_eq!(one(&host, COMMANDS).await, 0);
    let own = decide(&host, &one_of, proposal, "confirm").await;
    assert_eq!((own.code(), own.problem()), (403, "own_proposal"));

    let open = host.get("/api/v1/admin/proposals?state=OPEN&act=APPROVE", &other.token).await;
    let item = &open.json["items"][0];
    assert_eq!((&item["proposalId"], &item["target"]), (&json!(proposal), &json!(id)));
    assert_eq!((&item["notes"], &item["proposedBy"]), (&json!("looks right"), &json!(one_of.id)));

    let confirmed = decide(&host, &other, proposal, "confirm").await;
    assert_eq!(confirmed.code(), 200, "{}", confirmed.text);
    assert_eq!(confirmed.json["state"], "CONFIRMED");
    assert_eq!(confirmed.json["commandIds"].as_array().unwrap().len(), 2);
    assert_eq!(one(&host, COMMANDS).await, 2);
    let again = decide(&host, &other, proposal, "confirm").await;
    assert_eq!((again.code(), again.problem()), (409, "proposal_closed"));
    let user = host.get(&format!("/api/v1/admin/users/{id}"), &other.token).await;
    assert_eq!(user.json["user"]["status"], "APPROVED_PENDING_ONCHAIN");
    assert_eq!(user.json["user"]["reviewedBy"], json!(other.id));
    assert_eq!(
        actions(&host).await,
        ["review.claimed", "proposal.opened", "user.approved", "proposal.confirmed"]
    );
    let list = host.get("/api/v1/admin/proposals", &other.token).await;
    assert_eq!(list.json["items"][0]["state"], "CONFIRMED");
    assert!(list.has_null_at("/items/0/notes"), "the texts are gone: {}", list.text);
    let mut conn = host.base.connection().await.unwrap();
    audit::verify(&mut conn).await.unwrap();
}

/// KYC-03: SQL refuses a confirmation by the proposer, whatever a service does, and every change of
/// a closed proposal.
#[tokio::test]
async fn kyc_03_the_database_refuses_an_own_confirmation() {
    let host = host().await;
    let by = staff(&host, AdminRole::Reviewer).await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    assert_eq!(approve(&host, &by, &id).await.code(), 202);
    let broken = async |sql: &'static str| {
        let refused = sqlx::query(sql).execute(host.database.pool()).await.unwrap_err();
        refused.into_database_error().unwrap().constraint().unwrap().to_owned()
    };
    let own = r#"UPDATE "Proposal" SET state = 'CONFIRMED', "decidedBy" = "proposedBy",
                     "decidedAt" = now(), texts = NULL"#;
    assert_eq!(broken(own).await, "Proposal_four_eyes");
    let rejected = r#"UPDATE "Proposal" SET state = 'REJECTED', "decidedBy" = "proposedBy",
                          "decidedAt" = now(), texts = NULL"#;
    run(&host, rejected).await;
    assert_eq!(broken(r#"UPDATE "Proposal" SET state = 'OPEN'"#).await, "Proposal_final");
}

/// KYC-03: of confirmations at the same time one performs the act.
#[tokio::test]
async fn kyc_03_of_two_confirmations_at_the_same_time_one_counts() {
    let host = host().await;
    let proposer = staff(&host, AdminRole::Reviewer).await;
    let [one_of, other] =
        [staff(&host, AdminRole::Reviewer).await, staff(&host, AdminRole::Admin).await];
    for round in 0..4 {
        let email = format!("race{round}@gxtest.com");
        let id = host.add_person(&email, AccountStatus::PendingAdminApproval).await;
        let proposed = approve(&host, &proposer, &id).await;
        let proposal = proposed.text_at("/proposalId");
        let answers = all([&one_of, &other].map(|by| decide(&host, by, proposal, "confirm"))).await;
        let mut codes: Vec<u16> = answers.iter().map(Answer::code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [200, 409]);
    }
    assert_eq!(one(&host, COMMANDS).await, 8);
    assert_eq!(
        one(&host, r#"SELECT count(*) FROM "AuditEntry" WHERE action = 'user.approved'"#).await,
        4
    );
}

/// KYC-03: a confirmation that comes when the proposal's time is over, by the time of the database,
/// is refused, also while it waits for the row; the proposal expires with an entry in the audit
/// log, and the act can be proposed again.
#[tokio::test]
async fn kyc_03_a_confirmation_after_the_end_is_refused() {
    let host = host().await;
    let [one_of, other] =
        [staff(&host, AdminRole::Reviewer).await, staff(&host, AdminRole::Reviewer).await];
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let first = approve(&host, &one_of, &id).await;
    let proposal = first.text_at("/proposalId");
    let ends = host.holding(r#"UPDATE "Proposal" SET "expiresAt" = clock_timestamp()"#).await;
    let end = async {
        host.waiting_for_locks(1).await;
        let mut ends = ends;
        sqlx::query("COMMIT").execute(&mut ends).await.unwrap();
    };
    let (late, ()) = tokio::join!(decide(&host, &other, proposal, "confirm"), end);
    assert_eq!((late.code(), late.problem()), (409, "proposal_closed"), "{}", late.text);
    assert_eq!(one(&host, COMMANDS).await, 0);
    assert_eq!(actions(&host).await, ["proposal.opened", "proposal.expired"]);

    let second = approve(&host, &other, &id).await;
    assert_ne!(second.json, first.json);
    run(&host, r#"UPDATE "Proposal" SET "expiresAt" = clock_timestamp() WHERE state = 'OPEN'"#)
        .await;
    let list = host.get("/api/v1/admin/proposals", &other.token).await;
    assert_eq!(list.json["items"][0]["state"], "EXPIRED");
    let open = host.get("/api/v1/admin/proposals?state=OPEN", &other.token).await;
    assert_eq!(open.json["items"], json!([]));
    let third = approve(&host, &one_of, &id).await;
    assert_eq!(third.code(), 202, "{}", third.text);
    run(&host, r#"UPDATE "Proposal" SET "expiresAt" = clock_timestamp() WHERE state = 'OPEN'"#)
        .await;
    let checks = host.service.health.report().await.checks;
    assert_eq!(checks["review"]["value"]["openProposals"], 0, "{checks:?}");
    let expired = actions(&host).await.into_iter().filter(|action| action == "proposal.expired");
    assert_eq!(expired.count(), 3, "the report closes those whose time is over");
    let rejected = decide(&host, &other, third.text_at("/proposalId"), "reject").await;
    assert_eq!(rejected.problem(), "proposal_closed");
}

/// KYC-03: if the world has changed since the proposal, the act's own refusal is the answer,
/// nothing is written, and the proposal stays open until it is rejected.
#[tokio::test]
async fn kyc_03_a_confirmation_acts_on_the_world_as_it_is_then() {
    let host = host().await;
    let [one_of, other] =
        [staff(&host, AdminRole::Reviewer).await, staff(&host, AdminRole::Reviewer).await];
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let proposed = approve(&host, &one_of, &id).await;
    let proposal = proposed.text_at("/proposalId");
    let denial = json!({ "reasonCode": "UNREADABLE", "finality": "RETRY" });
    assert_eq!(post(&host, &other, &format!("users/{id}/deny"), &denial).await.code(), 200);
    let before = host.rows().await;
    let refused = decide(&host, &other, proposal, "confirm").await;
    assert_eq!((refused.code(), refused.problem()), (409, "not_under_review"));
    assert_eq!(host.rows().await, before);
    assert_eq!(decide(&host, &one_of, proposal, "reject").await.code(), 200, "an own one");
    assert_eq!(decide(&host, &other, proposal, "reject").await.problem(), "proposal_closed");
    let impossible = approve(&host, &one_of, &id).await;
    assert_eq!(impossible.problem(), "not_under_review", "refused before it is proposed");
}

/// KYC-03: a proposal counts only while its proposer may still do the act, and only those who may
/// do the act confirm it.
#[tokio::test]
async fn kyc_03_both_administrators_need_the_role() {
    let host = host().await;
    let [one_of, other] =
        [staff(&host, AdminRole::SuperAdmin).await, staff(&host, AdminRole::SuperAdmin).await];
    let reviewer = staff(&host, AdminRole::Reviewer).await;
    let pause = json!({ "reason": "INCIDENT", "notes": "see ticket" });
    let proposed = post(&host, &one_of, "system/pause", &pause).await;
    assert_eq!(proposed.code(), 202, "{}", proposed.text);
    let proposal = proposed.text_at("/proposalId");
    assert_eq!(decide(&host, &reviewer, proposal, "confirm").await.problem(), "forbidden");
    assert_eq!(decide(&host, &reviewer, proposal, "reject").await.problem(), "forbidden");
    let others = post(&host, &other, "system/pause", &pause).await;
    assert_eq!(others.problem(), "already_proposed");
    let changed = post(&host, &one_of, "system/pause", &json!({ "reason": "DRILL" })).await;
    assert_eq!(changed.problem(), "already_proposed");
    for change in [
        r#"UPDATE "AdminUser" SET role = 'ADMIN' WHERE "adminId" = (SELECT "proposedBy" FROM "Proposal")"#,
        r#"UPDATE "AdminUser" SET role = 'SUPER_ADMIN', "isLocked" = true
           WHERE "adminId" = (SELECT "proposedBy" FROM "Proposal")"#,
    ] {
        run(&host, change).await;
        let refused = decide(&host, &other, proposal, "confirm").await;
        assert_eq!((refused.code(), refused.problem()), (409, "proposer_not_entitled"));
    }
    run(&host, r#"UPDATE "AdminUser" SET "isLocked" = false"#).await;
    assert_eq!(decide(&host, &other, proposal, "confirm").await.code(), 200);
    let payload: Value = sqlx::query_scalar(r#"SELECT payload FROM "OutboxCommand""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(payload, json!({ "reasonCode": "INCIDENT" }));
    assert_eq!(decide(&host, &other, "nobody", "confirm").await.problem(), "no_proposal");
}

/// KYC-03: each kind of act is proposed, and confirmed with the effect of the direct route.
#[tokio::test]
async fn kyc_03_every_act_waits_for_a_second_administrator() {
    let host = host().await;
    let [one_of, other] =
        [staff(&host, AdminRole::SuperAdmin).await, staff(&host, AdminRole::SuperAdmin).await];
    let lost = staff(&host, AdminRole::Reviewer).await;
    let active = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let waiting = host.add_person("wei@gxtest.com", AccountStatus::PendingAdminApproval).await;
    sqlx::query(
        r#"INSERT INTO "LedgerUser" ("fabricUserId", "profileId", "countryCode", "createdTxId",
               "createdAt") VALUES ($2, $1, 'MY', 'tx', now())"#,
    )
    .bind(&active)
    .bind(SARAH)
    .execute(host.database.pool())
    .await
    .unwrap();
    run(
        &host,
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, balance, "isLocked", "lastTxId",
               "asOfBlock", "createdAt", "updatedAt")
           VALUES ('t', 'treasury_MY', 'TREASURY', 0, true, 'tx', 3, now(), now())"#,
    )
    .await;
    let reason = json!({ "reason": "asked for" });
    let court = json!({ "reason": "COURT_ORDER", "notes": "case 7" });
    for (path, body, commands) in [
        (format!("users/{waiting}/approve"), &json!({}), 2),
        (format!("users/{active}/freeze"), &court, 1),
        (format!("users/{active}/factors/reset"), &reason, 0),
        (format!("administrators/{}/factors/reset", lost.id), &reason, 0),
        ("treasury/MY/activate".to_owned(), &reason, 1),
        ("system/pause".to_owned(), &json!({ "reason": "DRILL" }), 1),
    ] {
        let before = one(&host, COMMANDS).await;
        let proposed = post(&host, &one_of, &path, body).await;
        assert_eq!(proposed.code(), 202, "{path}: {}", proposed.text);
        assert_eq!(one(&host, COMMANDS).await, before, "{path}");
        let proposal = proposed.text_at("/proposalId");
        let confirmed = decide(&host, &other, proposal, "confirm").await;
        assert_eq!(confirmed.code(), 200, "{path}: {}", confirmed.text);
        assert_eq!(one(&host, COMMANDS).await, before + commands, "{path}");
    }
    assert_eq!(host.get("/api/v1/admin/users", &lost.token).await.code(), 401, "factors reset");
    run(&host, r#"UPDATE "OutboxCommand" SET status = 'COMMITTED', "settledAt" = now()"#).await;
    run(&host, r#"UPDATE "LedgerUser" SET "isFrozen" = true"#).await;
    sqlx::query(
        r#"INSERT INTO "LedgerSystem" (channel, "isPaused", "pauseReason") VALUES ($1, true, 'DRILL')"#,
    )
    .bind(CHANNEL)
    .execute(host.database.pool())
    .await
    .unwrap();
    let resumed = post(&host, &one_of, "system/resume", &reason).await;
    assert_eq!(decide(&host, &other, resumed.text_at("/proposalId"), "confirm").await.code(), 200);
    run(&host, r#"UPDATE "LedgerSystem" SET "isPaused" = false, "pauseReason" = NULL"#).await;
    let thawed = post(&host, &one_of, &format!("users/{active}/unfreeze"), &court).await;
    assert_eq!(decide(&host, &other, thawed.text_at("/proposalId"), "confirm").await.code(), 200);
    let batch = host.add_person("ben@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let body = json!({ "profileIds": [batch] });
    let answer = post(&host, &one_of, "users/batch-approve", &body).await;
    assert!(answer.json["results"][0]["proposed"]["proposalId"].is_string(), "{}", answer.text);
}

/// KYC-03: nobody takes part in the reset of the own second factors.
#[tokio::test]
async fn kyc_03_nobody_confirms_the_reset_of_the_own_factors() {
    let host = host().await;
    let [one_of, other] =
        [staff(&host, AdminRole::SuperAdmin).await, staff(&host, AdminRole::SuperAdmin).await];
    let path = format!("administrators/{}/factors/reset", other.id);
    let proposed = post(&host, &one_of, &path, &json!({ "reason": "phone lost" })).await;
    let proposal = proposed.text_at("/proposalId");
    assert_eq!(decide(&host, &other, proposal, "confirm").await.problem(), "forbidden");
    assert_eq!(
        post(&host, &other, &path, &json!({ "reason": "mine" })).await.problem(),
        "forbidden"
    );
}
