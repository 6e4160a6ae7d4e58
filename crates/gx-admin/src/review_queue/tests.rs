//! The queue of reviewers and the numbers about it, through the router.

use std::time::Duration;

use gx_auth::testing::TestHost;
use gx_auth::{AdminRole, Audience, TokenUse, review_clock};
use gx_db::ProfileId;
use gx_model::AccountStatus;
use serde_json::{Value, json};

use crate::tests::host;

const HOUR: Duration = Duration::from_hours(1);

/// Adds a person who has just come under review.
async fn submitted(host: &TestHost, name: &str) -> String {
    let email = format!("{name}@gxtest.com");
    let id = host.add_person(&email, AccountStatus::Registered).await;
    let sql = r#"UPDATE "UserProfile" SET status = 'PENDING_ADMIN_APPROVAL', "firstName" = $2,
                     "updatedAt" = $3 WHERE "profileId" = $1"#;
    let update = sqlx::query(sql).bind(&id).bind(name).bind(host.clock.now());
    update.execute(host.database.pool()).await.unwrap();
    id
}

async fn queue(host: &TestHost, token: &str, query: &str) -> Vec<Value> {
    let answer = host.get(&format!("/api/v1/admin/review/queue?{query}"), token).await;
    let items = answer.json["items"].as_array();
    items.unwrap_or_else(|| panic!("{query}: {}", answer.text)).clone()
}

async fn names(host: &TestHost, token: &str, query: &str) -> Vec<String> {
    let items = queue(host, token, query).await;
    items.iter().map(|item| item["firstName"].as_str().unwrap().to_owned()).collect()
}

/// KYC-05: the queue shows who has waited longest first, with the age against the target; while the
/// clock is stopped nobody becomes late; the numbers are metrics.
#[tokio::test]
async fn kyc_05_the_queue_shows_age_and_lateness() {
    let host = host().await;
    let asked = submitted(&host, "asked").await;
    host.clock.advance(HOUR);
    submitted(&host, "late").await;
    host.clock.advance(HOUR * 20);
    submitted(&host, "new").await;
    let mut conn = host.base.connection().await.unwrap();
    let person = ProfileId::from(asked);
    review_clock::stop(&mut conn, &person, host.clock.now()).await.unwrap();
    host.clock.advance(HOUR * 6);
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;

    assert_eq!(names(&host, &token, "").await, ["asked", "late", "new"]);
    let items = queue(&host, &token, "").await;
    assert_eq!(items[0]["ageSeconds"], 21 * 3_600, "the clock is stopped");
    assert_eq!(items[0]["isLate"], false);
    assert_eq!(items[0]["dueAt"], Value::Null);
    assert_eq!(items[1]["ageSeconds"], 26 * 3_600);
    assert_eq!((&items[1]["isLate"], &items[2]["isLate"]), (&json!(true), &json!(false)));
    assert_eq!(names(&host, &token, "state=LATE").await, ["late"]);
    assert_eq!(names(&host, &token, "state=WAITING").await, ["late", "new"]);
    assert_eq!(names(&host, &token, "state=STOPPED").await, ["asked"]);
    assert_eq!(
        host.service.health.report().await.checks["review"]["value"],
        json!({ "waiting": 3, "late": 1, "openProposals": 0 })
    );

    review_clock::resume(&mut conn, &person, host.clock.now()).await.unwrap();
    drop(conn);
    assert_eq!(names(&host, &token, "").await, ["late", "asked", "new"]);
    assert!(queue(&host, &token, "").await[1]["stoppedAt"].is_null());
    host.clock.advance(HOUR * 4);
    // The session of the first one has ended, because it was not used.
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    assert_eq!(names(&host, &token, "state=LATE").await, ["late", "asked"]);
    let metrics = gx_serve::telemetry::metrics().render();
    assert!(metrics.contains("gx_review_late_people"), "{metrics}");
}

/// KYC-05: the queue is filtered by claim, country and text, and read page by page.
#[tokio::test]
async fn kyc_05_the_queue_is_filtered_and_paged() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Reviewer).await.access_token;
    let tokens = host.base.auth.sessions.tokens();
    let own = tokens.verify(&token, TokenUse::Access, Audience::Admin).unwrap().sub;
    let mut ids = Vec::new();
    for name in ["ada", "ben", "cem"] {
        ids.push(submitted(&host, name).await);
        host.clock.advance(HOUR / 60);
    }
    host.add_person("other@gxtest.com", AccountStatus::Registered).await;
    let claim = format!("/api/v1/admin/users/{}/claim", ids[1]);
    assert_eq!(host.post(&claim, &token, &json!({})).await.code(), 200);
    assert_eq!(names(&host, &token, &format!("assignee={own}")).await, ["ben"]);
    assert_eq!(names(&host, &token, "assignee=none").await, ["ada", "cem"]);
    assert_eq!(names(&host, &token, "assignee=nobody").await, Vec::<String>::new());
    assert_eq!(queue(&host, &token, "q=BEN%40").await[0]["assignee"], json!(own));
    assert_eq!(names(&host, &token, "q=BEN%40").await, ["ben"]);
    assert_eq!(names(&host, &token, "country=my").await.len(), 3);
    assert_eq!(names(&host, &token, "country=SG").await.len(), 0);
    let users = host.get(&format!("/api/v1/admin/users?assignee={own}"), &token).await;
    assert_eq!(users.json["items"].as_array().unwrap().len(), 1);

    let mut found = Vec::new();
    let mut path = "/api/v1/admin/review/queue?limit=1".to_owned();
    loop {
        let page = host.get(&path, &token).await;
        found.push(page.text_at("/items/0/profileId").to_owned());
        let Some(cursor) = page.json["nextCursor"].as_str() else { break };
        path = format!("/api/v1/admin/review/queue?limit=1&cursor={cursor}");
    }
    ids.sort_unstable();
    assert_eq!(found, ids, "the same time, so that the ids decide");
    for wrong in ["state=GONE", "country=1", "cursor=x"] {
        let answer = host.get(&format!("/api/v1/admin/review/queue?{wrong}"), &token).await;
        assert_eq!(answer.code(), 400, "{wrong}");
    }
}
