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

#[tokio::test]
async fn a_lock_needs_a_reason_and_a_person() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let answer = host.post("/api/v1/admin/users/nobody/lock", &token, &json!({})).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/reason"]));
    assert_eq!(set(&host, &token, "nobody", "lock").await.problem(), "no_user");
}
