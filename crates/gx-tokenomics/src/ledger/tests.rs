//! The state of the ledger, through the router and on samples that the tests write.

use std::time::Duration;

use gx_auth::testing::{CHANNEL, TestHost};
use serde_json::{Value, json};

use crate::service;

async fn capability(host: &TestHost) -> Value {
    let answer = host.get("/api/v1/ledger", "").await;
    assert_eq!(answer.code(), 200);
    answer.json
}

async fn run(host: &TestHost, sql: &'static str) {
    sqlx::query(sql).bind(CHANNEL).execute(host.database.pool()).await.unwrap();
}

/// FAB-04: if no network exists, the ledger is `unavailable` and not only late; the other states
/// are told apart, too.
#[tokio::test]
async fn without_a_network_the_ledger_is_unavailable() {
    let host = TestHost::new(service).await;
    assert_eq!(capability(&host).await, json!({ "capability": "unavailable" }));

    let mut conn = host.base.connection().await.unwrap();
    let contact_at = host.clock.now();
    gx_outbox::tip::record(&mut conn, CHANNEL, 1, "test", contact_at).await.unwrap();
    assert_eq!(capability(&host).await, json!({ "capability": "empty" }));
    run(
        &host,
        r#"INSERT INTO "LedgerSystem" (channel, "bootstrappedAt") VALUES ($1, now())
           ON CONFLICT (channel) DO UPDATE SET "bootstrappedAt" = now()"#,
    )
    .await;
    assert_eq!(capability(&host).await, json!({ "capability": "available" }));
    run(
        &host,
        r#"UPDATE "LedgerSystem" SET "isPaused" = true, "pauseReason" = 'DRILL'
           WHERE channel = $1"#,
    )
    .await;
    assert_eq!(capability(&host).await, json!({ "capability": "paused", "pauseReason": "DRILL" }));
    host.clock.advance(Duration::from_secs(31));
    assert_eq!(
        capability(&host).await,
        json!({ "capability": "unreachable", "contactAt": "2026-03-01T12:00:00.123Z" })
    );
}
