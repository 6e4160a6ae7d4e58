//! Lists and states for operators, through the router.

use gx_auth::AdminRole;
use gx_model::AccountStatus;
use serde_json::json;

use crate::tests::host;

/// API-11, SEC-API-07: malformed paging is answered with 400 on every list.
#[tokio::test]
async fn malformed_paging_is_answered_with_400() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    for list in ["users", "outbox", "dead-events", "audit"] {
        for limit in
            ["0", "-1", "101", "1000000000", "2147483648", "99999999999999999999", "ten", ""]
        {
            let answer = host.get(&format!("/api/v1/admin/{list}?limit={limit}"), &token).await;
            assert_eq!((answer.code(), answer.pointers()), (400, vec!["/limit"]), "{list} {limit}");
        }
        let answer =
            host.get(&format!("/api/v1/admin/{list}?cursor=nonsense&page=2"), &token).await;
        assert_eq!((answer.code(), answer.pointers()), (400, vec!["/cursor", "/page"]));
    }
}

/// SEC-API-07: a text that PostgreSQL cannot store is refused before it is sent to the database.
#[tokio::test]
async fn a_forged_key_or_id_is_refused() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    for id in ["%00", "a%00b", "%FF", "%27%3B--", "x%2Fy"] {
        let answer = host.get(&format!("/api/v1/admin/users/{id}"), &token).await;
        assert_eq!((answer.code(), answer.problem()), (404, "no_user"), "{id}");
    }
    // [0,"\u0000"], as a cursor is written.
    let answer = host.get("/api/v1/admin/users?cursor=WzAsIlx1MDAwMCJd", &token).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/cursor"]));
    let answer = host.get("/api/v1/admin/users?q=%00", &token).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/q"]));
    // [9223372036854775807,""] and [-300000000000000,""], a year before PostgreSQL's first.
    for far in ["WzkyMjMzNzIwMzY4NTQ3NzU4MDcsIiJd", "Wy0zMDAwMDAwMDAwMDAwMDAsIiJd"] {
        let answer = host.get(&format!("/api/v1/admin/users?cursor={far}"), &token).await;
        assert_eq!((answer.code(), answer.pointers()), (400, vec!["/cursor"]));
    }
}

/// API-11: a block number above 2^53 is returned exactly.
#[tokio::test]
async fn large_numbers_survive() {
    const LARGE: i64 = 9_007_199_254_740_993;
    let host = host().await;
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    sqlx::query(
        r#"INSERT INTO "EventDLQ" (channel, "blockNumber", "txId", "eventIndex", "commandId",
               "txIndex", aggregates, reason, payload, "ledgerAt", "createdAt")
           VALUES ('gxchannel', $1, 'tx', 0, 'c', 0, '{}', 'unknown event', '{}', now(), now())"#,
    )
    .bind(LARGE)
    .execute(host.database.pool())
    .await
    .unwrap();
    let answer = host.get("/api/v1/admin/dead-events", &token).await;
    assert!(answer.text.contains("\"blockNumber\":9007199254740993"), "{}", answer.text);
    assert_eq!(answer.json["items"][0]["blockNumber"], LARGE);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    let mut expected = Vec::new();
    for number in 0..7 {
        let email = format!("person{number}@gxtest.com");
        expected.push(host.add_person(&email, AccountStatus::Registered).await);
    }
    let (mut seen, mut cursor): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let answer = host.get(&format!("/api/v1/admin/users?limit=3{after}"), &token).await;
        let items = answer.json["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["profileId"].as_str().unwrap().to_owned()));
        cursor = answer.json["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    expected.sort_unstable();
    assert_eq!(seen, expected);
    let found = host.get("/api/v1/admin/users?q=PERSON5&country=my", &token).await;
    assert_eq!(found.json["items"][0]["email"], "person5@gxtest.com");
    assert_eq!(found.json["items"].as_array().map(Vec::len), Some(1));
    let answer = host.get("/api/v1/admin/users?status=GONE", &token).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/status"]));
}

#[tokio::test]
async fn operators_see_projection_and_system() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    sqlx::query(r#"INSERT INTO "ProjectorState" VALUES ('gxchannel', '\x00', 41, '\xab', now())"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    let answer = host.get("/api/v1/admin/projection", &token).await;
    assert_eq!(answer.json["channels"][0]["blockNumber"], 41);
    assert_eq!(answer.json["channels"][0]["blockHash"], "ab");
    let answer = host.get("/api/v1/admin/system", &token).await;
    assert_eq!(answer.json["outbox"]["PENDING"], 0);
    let answer = host.get("/api/v1/admin/audit", &token).await;
    assert_eq!(answer.json, json!({ "items": [], "nextCursor": null }));
}
