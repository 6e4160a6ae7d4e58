//! The way of a person from registration to 500 GX, through `gx dev`.

use std::time::Duration;

use gx_testkit::eventually;
use gx_testkit::http::{request, send_tls};
use gx_testkit::story::{Gx, Person, registration};
use serde_json::json;
use sqlx::{PgConnection, Row as _};

use crate::stack::{Stack, address, get};

/// What may pass between an approval and the wallet on a machine that runs other tests too.
pub(crate) const SETTLED: Duration = Duration::from_secs(30);

/// The reporting statement that operators use, as it stands in the data design.
const PROFILE: &str = r#"SELECT "profileId", "firstName", "lastName", email, status, "dateOfBirth",
       gender, "fabricUserId", "onchainStatus"
FROM "UserProfile"
WHERE email = $1"#;

/// G2: a person who registers, submits and is approved ends active on the ledger, with one
/// grant of 500 GX, and the country's treasury with 50; and so does the next one, and the one
/// after a restart that keeps all data.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_becomes_a_participant_and_the_next_start_continues() {
    let mut stack = Stack::start().await;
    let first = become_participant(&stack, 1).await;
    become_participant(&stack, 2).await;
    assert_eq!(treasury_my(&mut stack.sql().await).await, 100 * 1_000_000);

    assert!(stack.interrupt().await.success());
    stack.run().await;

    let wallet = stack.gx().wallet(&first).await.unwrap();
    assert_eq!(wallet.str("/balance"), "500", "data and tokens outlive a restart");
    become_participant(&stack, 3).await;
    assert_eq!(treasury_my(&mut stack.sql().await).await, 150 * 1_000_000);
}

/// The HTTPS listener carries the public routes of identity and tokenomics, and no route of
/// svc-admin.
#[tokio::test(flavor = "multi_thread")]
async fn the_https_listener_carries_public_routes_only() {
    let stack = Stack::start().await;
    let edge = address(&stack.env("GX_EDGE_URL").replace("localhost", "127.0.0.1"));
    let certificate = std::fs::read_to_string(stack.data_dir().join("edge.pem")).unwrap();
    let register =
        request(http::Method::POST, "/api/v1/auth/register", None, Some(&registration(1)));
    let token = send_tls(edge, &certificate, register).await.unwrap().expect(200);
    let token = token.str("/accessToken");

    let wallet = request(http::Method::GET, "/api/v1/wallets/me", Some(token), None);
    send_tls(edge, &certificate, wallet).await.unwrap().expect(404);
    for private in ["/api/v1/admin/users", "/metrics", "/docs", "/openapi.json"] {
        let request = request(http::Method::GET, private, Some(token), None);
        send_tls(edge, &certificate, request).await.unwrap().expect(404);
    }
}

/// Every part answers about its health, its metrics and its interface.
#[tokio::test(flavor = "multi_thread")]
async fn every_part_answers_about_itself() {
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

/// Registers person `n`, submits, approves and waits for the wallet; checks every row that
/// the journey leaves behind.
async fn become_participant(stack: &Stack, n: u32) -> Person {
    let (gx, mut sql) = (stack.gx(), stack.sql().await);
    let person = gx.register(n).await;
    assert_eq!(status(&mut sql, n).await, ("REGISTERED".into(), "NOT_REGISTERED".into(), None));

    gx.log_in(n).await;
    gx.submit(&person).await;
    let admin = stack.admin_token().await;
    let approved = gx.approve(&admin, &person).await.expect(200);
    settled(&gx, &person).await;

    let reserved = approved.str("/fabricUserId").to_owned();
    assert_eq!(status(&mut sql, n).await, ("ACTIVE".into(), "REGISTERED".into(), Some(reserved)));
    assert_eq!(transactions(&mut sql, &person).await, 1);
    person
}

/// Waits until the person's wallet holds the grant.
pub(crate) async fn settled(gx: &Gx, person: &Person) {
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

/// Rows in the person's history.
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

async fn treasury_my(sql: &mut PgConnection) -> i64 {
    sqlx::query_scalar(r#"SELECT balance FROM "Wallet" WHERE "accountId" = 'treasury_MY'"#)
        .fetch_one(sql)
        .await
        .unwrap()
}
