//! A database session stops inside a transaction and holds locks that others need.

use std::time::Duration;

use gx_documents::testing::{passport_form, selfie_form};
use gx_testkit::http::Reply;
use gx_testkit::story::{Person, Services, registration};
use gx_testkit::{World, eventually};
use serde_json::{Value, json};

/// Idle time after which the server ends a session in a transaction: long enough for the checks.
const IDLE_MS: u64 = 4_000;
/// Longest wait of everybody else.
const BOUND: Duration = Duration::from_secs(60);
/// The locks that a stopped session may hold.
const HELD: [(&str, &str); 6] = [
    ("everybody's row", r#"SELECT FROM "UserProfile" FOR UPDATE"#),
    ("an entry of the audit log", r#"INSERT INTO "AuditUnsealed" (seq, at) VALUES (-1, now())"#),
    ("the checkpoint", r#"SELECT FROM "ProjectorState" FOR UPDATE"#),
    ("every lane", r#"SELECT FROM "OutboxLane" FOR UPDATE"#),
    ("every command", r#"SELECT FROM "OutboxCommand" FOR UPDATE"#),
    ("what stores envelopes", "SELECT pg_advisory_xact_lock(hashtext('gx LedgerAttempt store'))"),
];

/// Repeats a request until no other session blocks it, and returns the reply.
async fn repeat(mut ask: impl AsyncFnMut() -> Reply) -> Reply {
    loop {
        let reply = ask().await;
        if reply.status != 503 {
            assert!(reply.status.is_success(), "{}", reply.text);
            return reply;
        }
        let code = reply.json["code"].as_str().unwrap_or_default();
        let passing = ["temporarily_locked", "temporary_reduced_capacity"];
        assert!(passing.contains(&code), "{}", reply.text);
    }
}

async fn register(gx: &Services, n: u32) -> Person {
    let reply =
        repeat(async || gx.identity.post("/api/v1/auth/register", None, &registration(n)).await);
    let reply = reply.await;
    Person {
        profile_id: reply.str("/user/profileId").to_owned(),
        token: reply.str("/accessToken").to_owned(),
    }
}

/// Registers and approves a person, and steps the workers through their failures until the grant.
async fn become_participant(world: &mut World, admin: &str, n: u32) {
    let gx = world.gx.clone();
    let person = register(&gx, n).await;
    for form in [passport_form(), selfie_form()] {
        repeat(async || gx.identity.hand_in(&person.token, form.clone()).await).await;
    }
    let submit = "/api/v1/users/me/kyc/submit";
    repeat(async || gx.identity.post(submit, Some(&person.token), &json!({})).await).await;
    repeat(async || gx.approve(admin, &person).await).await;
    while gx.wallet(&person).await.is_none() {
        // Each error is one of the database, and the next step goes on.
        let _ = world.submitter.step().await;
        let _ = world.projector.step(Duration::from_millis(20)).await;
    }
}

/// Returns the check `databaseLocks` of each service.
async fn lock_checks(world: &World) -> Vec<Value> {
    let mut checks = Vec::new();
    for board in &world.health {
        let report = serde_json::to_value(board.report().await).unwrap();
        checks.push(report["checks"]["databaseLocks"].clone());
    }
    checks
}

/// DB-08, PRJ-16: whatever lock a stopped session holds, the server ends the session, health names
/// it, and everybody else gets a clear answer until then and is served afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn db_08_whatever_a_frozen_session_holds_everybody_else_is_served() {
    let mut world = World::start_reached_by(|settings| {
        settings.session.database_lock_timeout_ms = 500;
        settings.session.database_idle_transaction_timeout_ms = IDLE_MS;
        settings.database_recheck_ms = 100;
    })
    .await;
    let mut frozen = world.database.settings().named("frozen");
    frozen.session.database_idle_transaction_timeout_ms = IDLE_MS;
    let frozen = gx_db::connect(&frozen).await.unwrap();
    let admin = world.admin_token().await;
    // People and commands whose rows there are to hold.
    world.participant(100).await;
    for (n, (what, lock)) in (0..).zip(HELD) {
        let mut silent = frozen.pool().begin().await.unwrap();
        sqlx::query(lock).execute(&mut *silent).await.unwrap();
        let told = tokio::time::timeout(BOUND, become_participant(&mut world, &admin, n)).await;
        told.unwrap_or_else(|_| panic!("nobody is served while somebody holds {what}"));
        eventually(&format!("health names who holds {what}"), BOUND, async || {
            let checks = lock_checks(&world).await;
            let names = |check: &Value| {
                let message = check["message"].as_str().unwrap_or_default();
                message.contains("gx frozen") && message.contains("idle in transaction")
            };
            checks.iter().all(names).then_some(())
        })
        .await;
        eventually(&format!("the server ends who holds {what}"), BOUND, async || {
            let silent: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                     AND application_name = 'gx frozen' AND state = 'idle in transaction'",
            )
            .fetch_one(world.database.pool())
            .await
            .unwrap();
            (silent == 0).then_some(())
        })
        .await;
    }
}
