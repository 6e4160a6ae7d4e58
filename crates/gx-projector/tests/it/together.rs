//! Many events written together make the same rows as one by one.

use gx_db::PgConnection;
use gx_db::testing::TestDatabase;
use gx_model::EventRecord;
use gx_outbox::enqueue::{NewCommand, enqueue};
use gx_outbox::failure::RetryPolicy;
use gx_projector::{ApplySettings, ReadBlock, Selection, apply_blocks, replay_dead};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use time::macros::datetime;

use crate::chain::{CHAINCODE, CHANNEL, create_id, transfer};
use crate::handmade::{block, story_events};
use crate::snapshot::{Snapshot, assert_same, read_model};

const NOW: time::OffsetDateTime = datetime!(2026-06-01 00:00 UTC);
/// Number of people with an account.
const KNOWN: u32 = 6;
/// Number of people including those that only the chain has.
const PEOPLE: u32 = 8;
/// Number of blocks in a chain. Each has one event, so that single blocks apply single events.
const BLOCKS: u32 = 90;
/// Number of chains that are tried.
const CHAINS: u64 = 8;

fn settings() -> ApplySettings {
    ApplySettings {
        channel: CHANNEL.to_owned(),
        chaincode: CHAINCODE.to_owned(),
        decode: EventRecord::decode,
        retry: RetryPolicy::default(),
    }
}

fn person(n: u32) -> String {
    format!("MY 463 AUN834 0QKZB {n:04}")
}

/// Returns one of the people; the first ones more often.
fn somebody(rng: &mut StdRng) -> String {
    let most = rng.random_range(1..=PEOPLE);
    person(rng.random_range(0..most))
}

fn any_account(rng: &mut StdRng) -> String {
    match rng.random_range(0..10) {
        0 => "treasury_MY".to_owned(),
        1 => "SYSTEM_LOAN_POOL".to_owned(),
        _ => somebody(rng),
    }
}

fn amount(rng: &mut StdRng) -> String {
    rng.random_range(1..1_000_000_u32).to_string()
}

fn event(name: &str, aggregates: &[&str], data: &Value) -> Value {
    json!({ "name": name, "version": 1, "aggregates": aggregates, "data": data })
}

/// Returns something that a ledger may say, or must not say.
fn any_event(rng: &mut StdRng) -> Value {
    let id = somebody(rng);
    match rng.random_range(0..40) {
        0..8 => event("UserCreated", &[&id], &json!({ "userId": id, "nationality": "MY" })),
        8..14 => grant(&id, rng),
        14..34 => {
            let (from, to) = (any_account(rng), any_account(rng));
            let fee = if rng.random_ratio(1, 2) { amount(rng) } else { "0".to_owned() };
            let data = json!({ "from": from, "to": to, "amount": amount(rng), "fee": fee,
                "txType": null, "fromBalance": amount(rng), "toBalance": amount(rng) });
            event("TransferCompleted", &[&from, &to], &data)
        }
        34 => event("WalletFrozen", &[&id], &json!({ "userId": id, "reasonCode": "COURT_ORDER" })),
        35 => event("WalletUnfrozen", &[&id], &json!({ "userId": id })),
        36 => event("TreasuryAccountActivated", &["treasury_MY"], &json!({ "countryCode": "MY" })),
        37 => event("CommandsCancelled", &[], &json!({ "commandIds": [] })),
        38 => event("MoneyPrinted", &[&id], &json!({ "what": "1" })),
        _ => event("UserCreated", &[&id], &json!({ "userID": id })),
    }
}

fn grant(id: &str, rng: &mut StdRng) -> Value {
    let none = rng.random_ratio(1, 4);
    let country = if rng.random_ratio(1, 8) { "SG" } else { "MY" };
    let data = json!({
        "userId": id, "nationality": country,
        "phase": if none { json!(null) } else { json!(1) },
        "amount": if none { "0".to_owned() } else { amount(rng) },
        "treasuryAmount": "5", "refusal": if none { json!("AGE") } else { json!(null) },
        "balance": amount(rng), "treasuryBalance": amount(rng),
        "countryUsers": rng.random_range(1..100), "countryUserTotal": amount(rng),
        "countryTreasuryTotal": amount(rng),
    });
    event("GenesisDistributed", &[id, &format!("treasury_{country}")], &data)
}

fn any_outcome(rng: &mut StdRng) -> Value {
    match rng.random_range(0..8) {
        0 => json!({ "status": "DEFERRED", "prerequisite": { "kind": "SYSTEM_RESUMED" } }),
        1 => json!({ "status": "REFUSED", "rejection":
            { "code": "SELF_TRANSFER", "detail": "to\u{0}oneself" } }),
        2 => json!({ "status": "REPLAY", "txId": "earlier", "first": { "status": "APPLIED" } }),
        _ => json!({ "status": "APPLIED" }),
    }
}

/// Returns what each block of a chain says; block 0 says nothing. Bootstrap and countries come a
/// little late, so that events that need them fail at first.
fn any_chain(rng: &mut StdRng) -> Vec<Vec<Value>> {
    let mut first: Vec<Value> = story_events()
        .into_iter()
        .filter(|event| {
            ["SystemBootstrapped", "CountryDataInitialized"]
                .contains(&event["name"].as_str().unwrap())
        })
        .collect();
    let mut blocks = vec![vec![]];
    for number in 1..BLOCKS {
        let late = number % 4 == 0 && !first.is_empty();
        let event = if late { first.remove(0) } else { any_event(rng) };
        // Some commands are named again later.
        let command = create_id(number - number % rng.random_range(1..3));
        let entry = json!({ "commandId": command.to_string(), "outcome": any_outcome(rng),
            "events": [event] });
        blocks.push(vec![json!({ "version": 1, "entries": [entry] })]);
    }
    blocks
}

/// Creates a database with the people who have accounts, and with commands in various states.
async fn database(seed: u64) -> TestDatabase {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    for n in 0..KNOWN {
        sqlx::query(
            r#"WITH p AS (
                   INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                       "passwordHash", "dateOfBirth", gender, status, "onchainStatus",
                       "createdAt", "updatedAt")
                   VALUES ($1, 'A', 'B', $1 || '@gxtest.com', 'x', '1992-08-20', 'female',
                           'APPROVED_PENDING_ONCHAIN', 'PENDING', '2020-01-01Z', '2020-01-01Z')
                   RETURNING "profileId")
               INSERT INTO "FabricIdReservation" SELECT $2, "profileId", $2, '2020-01-01Z' FROM p"#,
        )
        .bind(format!("profile-{n}"))
        .bind(person(n))
        .execute(&mut conn)
        .await
        .unwrap();
    }
    let mut rng = StdRng::seed_from_u64(seed);
    for number in 1..BLOCKS {
        let command = transfer(&person(rng.random_range(0..PEOPLE)), &person(9), 1);
        let new = NewCommand {
            command_id: create_id(number),
            command: &command,
            profile_id: None,
            requested_by: "a test",
            request_id: None,
        };
        enqueue(&mut conn, new, NOW).await.unwrap();
        let status = ["PENDING", "HELD", "SUBMITTED", "DEAD"][rng.random_range(0..4_usize)];
        sqlx::query(
            r#"UPDATE "OutboxCommand" SET status = $2, "txId" = $3 WHERE "commandId" = $1"#,
        )
        .bind(create_id(number).to_string())
        .bind(status)
        .bind(format!("tx-{number}-0"))
        .execute(&mut conn)
        .await
        .unwrap();
    }
    db
}

/// Applies a chain from block 0, several blocks at a time.
async fn apply(conn: &mut PgConnection, chain: &[Vec<Value>], mut run: impl FnMut() -> usize) {
    let blocks: Vec<ReadBlock> = (0_u64..)
        .zip(chain)
        .map(|(number, payloads)| ReadBlock::read(&block(number, payloads), &settings()))
        .collect();
    let mut left = blocks.as_slice();
    let mut rng = StdRng::seed_from_u64(1);
    while !left.is_empty() {
        let (now, rest) = left.split_at(run().min(left.len()));
        apply_blocks(conn, now, &settings(), &mut rng, NOW).await.unwrap();
        left = rest;
    }
}

/// Returns the read model, the dead letters in order, and the states of the commands.
async fn everything(conn: &mut PgConnection) -> Snapshot {
    let mut all = read_model(conn).await;
    for (name, sql) in [
        (
            "dead letters",
            r#"SELECT concat_ws(' ', "blockNumber", "eventName", reason, aggregates)
               FROM "EventDLQ" ORDER BY "deadEventId""#,
        ),
        (
            "commands",
            r#"SELECT concat_ws(' ', number, status, "txId", "blockNumber", outcome, prerequisite,
                                "settledAt")
               FROM "OutboxCommand" ORDER BY number"#,
        ),
    ] {
        all.insert(name, sqlx::query_scalar(sql).fetch_all(&mut *conn).await.unwrap());
    }
    all
}

/// G3, PRJ-08: random chains, with events that cannot be read, unknown accounts and repeated
/// events, make the same rows, dead letters and settlements block by block and in runs of any
/// length. Reading them all again changes only what a replay does.
#[tokio::test]
async fn runs_of_blocks_leave_the_rows_of_single_blocks() {
    let mut dead = 0;
    for seed in 0..CHAINS {
        let mut rng = StdRng::seed_from_u64(seed);
        let chain = any_chain(&mut rng);
        let (alone, together) = (database(seed).await, database(seed).await);
        let (mut alone, mut together) = (alone.connection().await, together.connection().await);
        apply(&mut alone, &chain, || 1).await;
        let expected = everything(&mut alone).await;
        let longest = [3, 17, 100][rng.random_range(0..3_usize)];
        apply(&mut together, &chain, || rng.random_range(1..=longest)).await;
        assert_same(&expected, &everything(&mut together).await);
        dead += expected["dead letters"].len();

        // When the chain is read again from block 0, dead letters are tried again, as by a replay.
        let all = Selection::All;
        replay_dead(&mut alone, CHANNEL, all, EventRecord::decode, NOW).await.unwrap();
        let again = r#"DELETE FROM "ProjectorState""#;
        sqlx::query(again).execute(&mut together).await.unwrap();
        apply(&mut together, &chain, || 50).await;
        assert_same(&read_model(&mut alone).await, &read_model(&mut together).await);
    }
    assert!(dead > 50, "only {dead} dead letters");
}
