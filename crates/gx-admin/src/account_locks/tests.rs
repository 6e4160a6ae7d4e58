//! Account locks, through the routers.

use gx_auth::AdminRole;
use gx_auth::testing::TestHost;
use gx_model::AccountStatus;
use serde_json::json;

use crate::tests::host;

async fn set(host: &TestHost, token: &str, id: &str, action: &str) -> gx_auth::testing::Answer {
    let path = format!("/api/v1/admin/users/{id}/{action}");
    host.post(&path, token, &json!({ "reason": "suspicious", "notes": "seen twice" })).await
}

/// G6, API-12: in every status a lock refuses the person's next request and refresh, and after an
/// unlock the person needs a new login.
#[tokio::test]
async fn a_lock_works_on_the_next_request_in_every_status() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let identity =
        gx_identity::service(&gx_identity::IdentitySettings::default(), host.base.clone());
    for status in AccountStatus::ALL {
        let id = host.add_person(&format!("{status}@gxtest.com").to_lowercase(), status).await;
        let session = host.session_of(&id).await;
        let look = async || {
            let ask = host.ask("GET", "/api/v1/users/me").token(&session.access_token);
            ask.send_to(&identity).await.code()
        };
        let closed = [AccountStatus::Denied, AccountStatus::Suspended, AccountStatus::Closed];
        let open = if closed.contains(&status) { 401 } else { 200 };
        assert_eq!(look().await, open, "{status}");
        let answer = set(&host, &token, &id, "lock").await;
        assert_eq!((answer.code(), &answer.json), (200, &json!({ "isLocked": true })));
        assert_eq!(look().await, 401, "{status}");
        let body = json!({ "refreshToken": session.refresh_token });
        let refresh = host.ask("POST", "/api/v1/auth/refresh").json(&body);
        assert_eq!(refresh.send_to(&identity).await.code(), 401);
        assert_eq!(set(&host, &token, &id, "lock").await.problem(), "already_so");
        let answer = set(&host, &token, &id, "unlock").await;
        assert_eq!((answer.code(), &answer.json), (200, &json!({ "isLocked": false })));
        assert_eq!(set(&host, &token, &id, "unlock").await.problem(), "already_so");
        assert_eq!(look().await, 401, "{status}: the sessions have ended");
    }
}

/// A lock and its end are in the audit log, and the account's row has the reason and the
/// administrator while it is locked.
#[tokio::test]
async fn a_lock_is_recorded_with_its_reason_and_its_administrator() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let recorded = async |action: &str, before: bool, after: bool| -> String {
        let log = host.get("/api/v1/admin/audit?limit=1", &token).await.json;
        let entry = &log["items"][0];
        assert_eq!(
            (&entry["action"], &entry["targetType"], &entry["targetId"]),
            (&json!(action), &json!("UserProfile"), &json!(id))
        );
        assert_eq!(entry["before"], json!({ "isLocked": before }));
        let reason = json!({ "isLocked": after, "reason": "suspicious", "notes": "seen twice" });
        assert_eq!((&entry["actorType"], &entry["after"]), (&json!("ADMIN"), &reason));
        entry["actorId"].as_str().unwrap().to_owned()
    };
    let row = async || -> [Option<String>; 3] {
        let row = sqlx::query_as(
            r#"SELECT "lockReason", "lockNotes", "lockedBy" FROM "UserProfile"
               WHERE "profileId" = $1"#,
        );
        let row: (Option<String>, Option<String>, Option<String>) =
            row.bind(&id).fetch_one(host.database.pool()).await.unwrap();
        row.into()
    };
    assert_eq!(set(&host, &token, &id, "lock").await.code(), 200);
    let by = recorded("user.locked", false, true).await;
    let lock = ["suspicious", "seen twice", &by].map(|text| Some(text.to_owned()));
    assert_eq!(row().await, lock);
    assert_eq!(set(&host, &token, &id, "unlock").await.code(), 200);
    assert_eq!(recorded("user.unlocked", true, false).await, by);
    assert_eq!(row().await, [None, None, None]);
}

#[tokio::test]
async fn a_lock_needs_a_reason_and_a_person() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let answer = host.post("/api/v1/admin/users/nobody/lock", &token, &json!({})).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/reason"]));
    assert_eq!(set(&host, &token, "nobody", "lock").await.problem(), "no_user");
}
