//! The ledger carries no personal data.

use std::path::Path;

use gx_testkit::World;
use gx_testkit::story::{PASSWORD, Person};
use serde_json::json;

/// Personal data that occurs nowhere else.
const MARKS: [&str; 5] =
    ["Zyxomarka", "Qwvumarkb", "marked.person@gxtest.com", "60127654399", PASSWORD];

/// G5, OUT-12: a person with marked name, address, phone number and password becomes a participant;
/// no mark is in a command's payload, in an event or in a file of the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_person_but_the_id_reaches_the_ledger() {
    let mut world = World::start().await;
    let registration = json!({
        "fname": MARKS[0], "lname": MARKS[1], "email": MARKS[2], "phoneNum": "+60127654399",
        "password": PASSWORD, "nationalityCountryCode": "MY", "dateOfBirth": "1992-08-20",
        "gender": "female",
    });
    let reply = world.gx.identity.post("/api/v1/auth/register", None, &registration).await;
    let reply = reply.expect(200);
    let person = Person {
        profile_id: reply.str("/user/profileId").to_owned(),
        token: reply.str("/accessToken").to_owned(),
    };
    world.gx.submit(&person).await;
    world.gx.approve(&world.admin_token().await, &person).await.expect(200);
    world.settle().await;
    let id = world.gx.wallet(&person).await.unwrap().str("/fabricUserId").to_owned();

    let texts: Vec<String> = sqlx::query_scalar(
        r#"SELECT payload::text FROM "OutboxCommand" UNION ALL
           SELECT payload::text FROM "EventLog" UNION ALL
           SELECT coalesce(outcome::text, '') FROM "OutboxCommand""#,
    )
    .fetch_all(world.database.pool())
    .await
    .unwrap();
    let envelopes: Vec<Vec<u8>> = sqlx::query_scalar(r#"SELECT envelope FROM "LedgerAttempt""#)
        .fetch_all(world.database.pool())
        .await
        .unwrap();
    world.devnet.stop().await;
    let texts = texts.into_iter().map(String::into_bytes).collect();
    let places = [texts, envelopes, files_below(world.ledger_dir.path())];
    for place in &places {
        assert!(place.iter().any(|bytes| contains(bytes, &id)), "each place has the person's id");
    }
    let hash: String = sqlx::query_scalar(r#"SELECT "passwordHash" FROM "UserProfile""#)
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    for mark in MARKS.into_iter().chain([hash.as_str()]) {
        let mut all = places.iter().flatten();
        assert!(!all.any(|bytes| contains(bytes, mark)), "{mark} left the database");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    let (lower, text) = (bytes.to_ascii_lowercase(), text.to_lowercase());
    lower.windows(text.len()).any(|window| window == text.as_bytes())
}

fn files_below(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(std::fs::read(&path).unwrap());
        }
    }
    found
}
