//! Locks of other sessions on a person's row. Requests that need them wait without a connection or
//! are asked to come back; all other requests are served.

use gx_auth::audit::{self, Sealer};
use gx_auth::testing::{TestHost, all};
use gx_db::testing::TestDatabase;
use gx_model::AccountStatus;
use gx_serve::Entropy;
use serde_json::json;

use super::{host, service};
use crate::IdentitySettings;

/// Number of requests: more than the pool has connections.
const CROWD: usize = 30;
/// The lock of a request that changes the person.
const SARAH: &str = r#"SELECT FROM "UserProfile" WHERE email = 'sarah@gxtest.com' FOR UPDATE"#;
/// The locks of an audited change that has not ended.
const AUDITED: &str = r#"WITH entry AS (
        INSERT INTO "AuditEntry" (at, "actorType", action, "targetType")
        VALUES (now(), 'SYSTEM', 'sample', 'sample') RETURNING seq, at)
    INSERT INTO "AuditUnsealed" (seq, at) SELECT seq, at FROM entry"#;

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

/// DB-08, LOG-03: while an audited change has not ended, all others are done, and the sealer seals
/// them; the one that ends later is sealed later.
#[tokio::test]
async fn db_08_an_audited_change_that_does_not_end_keeps_nobody_waiting() {
    let host = host().await;
    let mut tokens = Vec::new();
    for n in 0..12 {
        tokens.push(token(&host, &format!("p{n}@gxtest.com")).await);
    }
    let mut holder = host.holding(AUDITED).await;
    let crowd = tokens.iter().map(|token| {
        let ask = host.ask("POST", "/api/v1/auth/logout").token(token).json(&json!({}));
        async move { ask.send().await.code() }
    });
    assert_eq!(all(crowd).await, [204; 12]);
    let sealer = Sealer::new(host.database.pool().clone(), host.clock.clone());
    assert_eq!(sealer.step().await.unwrap(), 12);
    sqlx::query("COMMIT").execute(&mut holder).await.unwrap();
    assert_eq!(sealer.step().await.unwrap(), 1);
    let mut conn = host.base.connection().await.unwrap();
    let verified = audit::verify(&mut conn).await.unwrap();
    assert_eq!((verified.sealed, verified.unsealed), (13, 0));
    assert_eq!(verified.last_batch.unwrap().number, 2);
}

/// DB-08: codes of mails about one locked person wait in the queue of the person, and others are
/// served.
#[tokio::test]
async fn db_08_codes_about_one_locked_person_leave_the_pool_to_others() {
    let host = host().await;
    let (sarah, ben) = (token(&host, "sarah@gxtest.com").await, token(&host, "b@gxtest.com").await);
    let code = json!({ "code": "01234567" });
    let holder = host.holding(SARAH).await;
    let crowd = (0..CROWD).map(|_| {
        let ask = host.ask("POST", "/api/v1/auth/email/verify").token(&sarah).json(&code);
        async move { ask.send().await.code() }
    });
    let meanwhile = async {
        host.waiting_for_locks(2).await;
        assert_eq!(host.get("/api/v1/users/me", &ben).await.code(), 200);
        host.waiting_for_locks(2).await;
        drop(holder);
    };
    let (codes, ()) = tokio::join!(all(crowd), meanwhile);
    assert_eq!(codes, [422; CROWD]);
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
    let mut holder = host.holding(SARAH).await;
    sqlx::query("SET LOCAL application_name = 'somebody'").execute(&mut holder).await.unwrap();
    let ask = host.ask("PATCH", "/api/v1/users/me").token(&sarah).json(&change);
    let answer = ask.send().await;
    assert_eq!((answer.code(), answer.problem()), (503, "temporarily_locked"));
    assert_eq!(answer.headers["retry-after"], "5");
    // Health looks now and then, so somebody waits until it has looked.
    let mut waiter = host.database.connection().await;
    let report = tokio::select! {
        _ = sqlx::query(SARAH).execute(&mut waiter) => panic!("nothing holds the lock"),
        report = unhealthy_locks(&host) => report,
    };
    let check = &report["checks"]["databaseLocks"];
    assert_eq!(check["critical"], false);
    let names = check["message"].as_str().unwrap();
    assert!(names.contains("(somebody") && names.contains("idle in transaction"), "{names}");
    let name = sqlx::query_scalar::<_, String>(r#"SELECT "firstName" FROM "UserProfile""#);
    assert_eq!(name.fetch_one(host.database.pool()).await.unwrap(), "Sarah");
}

/// Waits until the check `databaseLocks` is unhealthy, and returns the report.
async fn unhealthy_locks(host: &TestHost) -> serde_json::Value {
    loop {
        let report = serde_json::to_value(host.service.health.report().await).unwrap();
        if report["checks"]["databaseLocks"]["status"] == "unhealthy" {
            return report;
        }
        tokio::task::yield_now().await;
    }
}
