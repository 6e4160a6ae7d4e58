//! Locks of other sessions on a person's row or on the audit log. Requests that need them wait
//! without a connection or are asked to come back; all other requests are served.

use gx_auth::testing::{TestHost, all};
use gx_db::testing::TestDatabase;
use gx_model::AccountStatus;
use gx_serve::Entropy;
use serde_json::json;

use super::host;
use crate::{IdentitySettings, service};

/// Number of requests: more than the pool has connections.
const CROWD: usize = 30;
/// The lock of a request that changes the person.
const SARAH: &str = r#"SELECT FROM "UserProfile" WHERE email = 'sarah@gxtest.com' FOR UPDATE"#;
/// The lock of a writer of the audit log.
const AUDIT: &str = "SELECT pg_advisory_xact_lock(hashtextextended('AuditLog', 0))";

async fn token(host: &TestHost, email: &str) -> String {
    let id = host.add_person(email, AccountStatus::Registered).await;
    host.session_of(&id).await.access_token
}

/// DB-08: while another session locks one person's row, requests about that person wait, two of
/// them with a connection, and others are served; afterwards all of them are done.
#[tokio::test]
async fn db_08_requests_about_one_locked_person_leave_the_pool_to_others() {
    let host = host().await;
    let (sarah, ben) = (token(&host, "sarah@gxtest.com").await, token(&host, "b@gxtest.com").await);
    let change = json!({ "firstName": "Sara" });
    let holder = host.holding(SARAH).await;
    let crowd = (0..CROWD).map(|_| {
        let ask = host.ask("PATCH", "/api/v1/users/me").token(&sarah).json(&change);
        async move { ask.send().await.code() }
    });
    let meanwhile = async {
        host.waiting_for_locks(2).await;
        for _ in 0..3 {
            assert_eq!(host.get("/api/v1/users/me", &ben).await.code(), 200);
            let ask = host.ask("PATCH", "/api/v1/users/me").token(&ben).json(&change);
            assert_eq!(ask.send().await.code(), 200);
        }
        host.waiting_for_locks(2).await;
        drop(holder);
    };
    let (codes, ()) = tokio::join!(all(crowd), meanwhile);
    assert_eq!(codes, [200; CROWD]);
}

/// DB-08: while the audit log is locked, its writers use half of the pool, and readers are served.
#[tokio::test]
async fn db_08_a_held_audit_log_leaves_half_of_the_pool_to_readers() {
    let host = host().await;
    let mut tokens = Vec::new();
    for n in 0..12 {
        tokens.push(token(&host, &format!("p{n}@gxtest.com")).await);
    }
    let reader = token(&host, "reader@gxtest.com").await;
    let holder = host.holding(AUDIT).await;
    let crowd = tokens.iter().map(|token| {
        let ask = host.ask("POST", "/api/v1/auth/logout").token(token).json(&json!({}));
        async move { ask.send().await.code() }
    });
    let meanwhile = async {
        host.waiting_for_locks(5).await;
        for _ in 0..3 {
            assert_eq!(host.get("/api/v1/users/me", &reader).await.code(), 200);
        }
        host.waiting_for_locks(5).await;
        drop(holder);
    };
    let (codes, ()) = tokio::join!(all(crowd), meanwhile);
    assert_eq!(codes, [204; 12]);
}

/// DB-08: a request that does not get a lock in time gets a problem with a time to come back, and
/// changes nothing; health names the session that holds the lock.
#[tokio::test]
async fn db_08_a_lock_timeout_is_a_problem_of_its_own() {
    let database = TestDatabase::create().await;
    let mut settings = database.settings();
    settings.session.database_lock_timeout_ms = 1_000;
    settings.database_recheck_ms = 100;
    let identity = |base| service(&IdentitySettings::default(), base);
    let host = TestHost::on(&settings, database, Entropy::system(), identity).await;
    let sarah = token(&host, "sarah@gxtest.com").await;
    let change = json!({ "firstName": "Sara" });
    for held in [SARAH, AUDIT] {
        let mut holder = host.holding(held).await;
        sqlx::query("SET LOCAL application_name = 'somebody'").execute(&mut holder).await.unwrap();
        let ask = host.ask("PATCH", "/api/v1/users/me").token(&sarah).json(&change);
        let answer = ask.send().await;
        assert_eq!((answer.code(), answer.problem()), (503, "temporarily_locked"), "{held}");
        assert_eq!(answer.headers["retry-after"], "5");
        let report = serde_json::to_value(host.service.health.report().await).unwrap();
        let check = &report["checks"]["databaseLocks"];
        assert_eq!(
            (check["status"].as_str(), &check["critical"]),
            (Some("unhealthy"), &false.into())
        );
        let names = check["message"].as_str().unwrap();
        assert!(names.contains("(somebody") && names.contains("idle in transaction"), "{names}");
    }
    let name = sqlx::query_scalar::<_, String>(r#"SELECT "firstName" FROM "UserProfile""#);
    assert_eq!(name.fetch_one(host.database.pool()).await.unwrap(), "Sarah");
}
