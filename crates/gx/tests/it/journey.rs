//! A person becomes a participant: from registration to 500 GX, through `gx dev`.

use std::time::Duration;

use gx_testkit::eventually;
use gx_testkit::http::{request, send_tls};
use gx_testkit::story::{Person, Services, registration};
use serde_json::json;
use sqlx::{PgConnection, Row as _};

use crate::stack::{Stack, address, get};

/// Longest time from an approval to the wallet, on a machine that runs other tests, too.
pub(crate) const SETTLED: Duration = Duration::from_secs(180);

/// The statement of the data design with which operators look at a person.
const PROFILE: &str = r#"SELECT "profileId", "firstName", "lastName", email, status, "dateOfBirth",
       gender, "fabricUserId", "onchainStatus"
FROM "UserProfile"
WHERE email = $1"#;

/// G2: each approved person holds one grant of 500 GX, and the country's treasury 50 GX for each of
/// them, also after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_becomes_a_participant_and_the_next_start_continues() {
    let mut stack = Stack::start().await;
    let first = become_participant(&stack, 1).await;
    become_participant(&stack, 2).await;
    assert_eq!(treasury_balance(&stack).await, "100");

    stop_without_warnings(&mut stack).await;
    stack.run().await;
    assert_eq!(stack.gx().balance(&first).await, "500");
    become_participant(&stack, 3).await;
    assert_eq!(treasury_balance(&stack).await, "150");
}

/// The HTTPS listener has the public routes of identity and tokenomics and the probes, and no route
/// of svc-admin.
#[tokio::test(flavor = "multi_thread")]
async fn the_https_listener_has_public_routes_only() {
    let stack = Stack::start().await;
    let edge = address(&stack.env("GX_EDGE_URL").replace("localhost", "127.0.0.1"));
    let certificate = std::fs::read_to_string(stack.data_dir().join("edge.pem")).unwrap();
    let register =
        request(http::Method::POST, "/api/v1/auth/register", None, Some(&registration(1)));
    let token = send_tls(edge, &certificate, register).await.unwrap().expect(200);
    let token = token.str("/accessToken");

    let wallet = request(http::Method::GET, "/api/v1/wallets/me", Some(token), None);
    send_tls(edge, &certificate, wallet).await.unwrap().expect(404);
    for probe in ["/livez", "/readyz", "/health"] {
        let request = request(http::Method::GET, probe, None, None);
        let answer = send_tls(edge, &certificate, request).await.unwrap().expect(200);
        assert_eq!(answer.str("/service"), "edge", "{probe}");
    }
    for private in ["/api/v1/admin/users", "/metrics", "/docs", "/openapi.json"] {
        let request = request(http::Method::GET, private, Some(token), None);
        send_tls(edge, &certificate, request).await.unwrap().expect(404);
    }
}

/// Every service answers at its health, metrics and documentation routes.
#[tokio::test(flavor = "multi_thread")]
async fn every_service_shows_its_health_metrics_and_documentation() {
    let stack = Stack::start().await;
    for name in ["GX_IDENTITY_URL", "GX_TOKENOMICS_URL", "GX_ADMIN_URL"] {
        let service = address(&stack.env(name));
        for path in ["/livez", "/readyz", "/health", "/metrics", "/docs"] {
            get(service, path).await.expect(200);
        }
        let document = get(service, "/openapi.json").await.expect(200);
        assert!(document.str("/openapi").starts_with("3.1"));
        let health = get(service, "/health").await;
        assert_eq!(health.str("/status"), "ready", "{}", health.text);
    }
}

/// Stops the stack with Ctrl-C. It must not warn about the parts that it stops itself.
async fn stop_without_warnings(stack: &mut Stack) {
    assert!(stack.interrupt().await.success());
    let said = stack.stderr();
    for warning in ["the database instance", "database not usable", "\u{1b}["] {
        assert!(!said.contains(warning), "{warning:?} in: {said}");
    }
}

async fn treasury_balance(stack: &Stack) -> String {
    let treasury = stack.gx().tokenomics.get("/api/v1/treasury/MY", "").await;
    treasury.expect(200).str("/balance").to_owned()
}

/// Registers, submits and approves person `n`, waits for the grant, and checks the person's rows.
async fn become_participant(stack: &Stack, n: u32) -> Person {
    let (gx, mut sql) = (stack.gx(), stack.sql().await);
    let person = gx.register(n).await;
    assert_eq!(status(&mut sql, n).await, ("REGISTERED".into(), "NOT_REGISTERED".into(), None));

    gx.log_in(n).await;
    gx.submit(&person).await;
    let admin = stack.admin_token().await;
    let approved = gx.approve(&admin, &person).await.expect(200);
    wait_for_grant(&gx, &person).await;

    let reserved = approved.str("/fabricUserId").to_owned();
    assert_eq!(status(&mut sql, n).await, ("ACTIVE".into(), "REGISTERED".into(), Some(reserved)));
    assert_eq!(transactions(&mut sql, &person).await, 1);
    person
}

/// Waits until the person's wallet holds the grant.
pub(crate) async fn wait_for_grant(gx: &Services, person: &Person) {
    eventually("the wallet holds 500 GX", SETTLED, async || {
        let wallet = gx.wallet(person).await?;
        (wallet.json["balance"] == json!("500")).then_some(())
    })
    .await;
}

async fn status(sql: &mut PgConnection, n: u32) -> (String, String, Option<String>) {
    let email = registration(n)["email"].as_str().unwrap().to_owned();
    let row = sqlx::query(PROFILE).bind(email).fetch_one(sql).await.unwrap();
    (row.get("status"), row.get("onchainStatus"), row.get("fabricUserId"))
}

/// Returns the number of rows in the person's history.
pub(crate) async fn transactions(sql: &mut PgConnection, person: &Person) -> i64 {
    sqlx::query_scalar(
        r#"SELECT count(*) FROM "Transaction" t JOIN "Wallet" w USING ("accountId")
           WHERE w."profileId" = $1"#,
    )
    .bind(&person.profile_id)
    .fetch_one(sql)
    .await
    .unwrap()
}
