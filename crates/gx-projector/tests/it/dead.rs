//! Events that cannot be applied become dead letters, are counted, and are replayed later.

use std::collections::BTreeSet;
use std::time::Duration;

use gx_db::PgConnection;
use gx_db::testing::TestDatabase;
use gx_model::{DomainEvent, EventRecord, UnreadableEvent};
use gx_outbox::failure::RetryPolicy;
use gx_projector::{
    Applied, ApplySettings, Halt, ProjectorError, ProjectorSettings, Selection, apply_block,
    replay_dead,
};
use gx_serve::HealthBoard;
use metrics_exporter_prometheus::PrometheusBuilder;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use time::macros::datetime;
use tokio_util::sync::CancellationToken;

use crate::chain::{BOUND, CHAINCODE, CHANNEL, Chain, create, fresh_id, grant, without_number_two};
use crate::handmade::{applied, block, story, story_events};

const NOW: time::OffsetDateTime = datetime!(2026-06-01 00:00 UTC);

fn settings() -> ApplySettings {
    ApplySettings {
        channel: CHANNEL.to_owned(),
        chaincode: CHAINCODE.to_owned(),
        decode: EventRecord::decode,
        retry: RetryPolicy::default(),
    }
}

async fn apply(
    conn: &mut PgConnection,
    number: u64,
    payloads: &[Value],
) -> Result<Applied, ProjectorError> {
    let mut rng = StdRng::seed_from_u64(3);
    apply_block(conn, &block(number, payloads), &settings(), &mut rng, NOW).await
}

/// Adds accounts that hold the ids of the recorded story.
async fn story_accounts(conn: &mut PgConnection) {
    for (n, id) in
        ["MY 463 AUN834 0QKZB 5821", "MY 111 ABG641 0ALIX 0001", "MY 777 ABR829 0BABY 0007"]
            .into_iter()
            .enumerate()
    {
        sqlx::query(
            r#"WITH p AS (
                   INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                       "passwordHash", "dateOfBirth", gender, status, "onchainStatus",
                       "createdAt", "updatedAt")
                   VALUES ($1, 'A', 'B', $1 || '@gxtest.com', 'x', '1992-08-20', 'female',
                           'APPROVED_PENDING_ONCHAIN', 'PENDING', $3, $3)
                   RETURNING "profileId")
               INSERT INTO "FabricIdReservation" SELECT $2, "profileId", $2, $3 FROM p"#,
        )
        .bind(format!("profile-{n}"))
        .bind(id)
        .bind(NOW)
        .execute(&mut *conn)
        .await
        .unwrap();
    }
}

async fn held(conn: &mut PgConnection) -> Vec<(String, String)> {
    sqlx::query_as(
        r#"SELECT coalesce("eventName", '-'), reason FROM "EventDLQ" WHERE state = 'HELD'
           ORDER BY "deadEventId""#,
    )
    .fetch_all(conn)
    .await
    .unwrap()
}

async fn count(conn: &mut PgConnection, table: &str) -> i64 {
    let sql = format!(r#"SELECT count(*) FROM "{table}""#);
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(conn).await.unwrap()
}

/// PRJ-02, PRJ-04: the payloads that the ledger recorded have every event name that it can emit,
/// and all of them can be applied.
#[tokio::test]
async fn every_event_that_the_ledger_recorded_applies() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    story_accounts(&mut conn).await;
    let names: BTreeSet<String> =
        story_events().iter().map(|event| event["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, DomainEvent::NAMES.map(str::to_owned).into());

    let done = apply(&mut conn, 0, &[story()]).await.unwrap();
    assert_eq!(held(&mut conn).await, []);
    assert_eq!(usize::try_from(done.events).unwrap(), story_events().len());
}

/// PRJ-02: if any key is renamed or has another case, the event becomes a dead letter, and no
/// amount is read as zero.
#[tokio::test]
async fn a_renamed_key_is_a_dead_letter_and_never_a_zero() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    story_accounts(&mut conn).await;
    apply(&mut conn, 0, &[story()]).await.unwrap();
    let balances = r#"SELECT string_agg(balance::text, ' ' ORDER BY "accountId") FROM "Wallet""#;
    let before: String = sqlx::query_scalar(balances).fetch_one(&mut conn).await.unwrap();
    let mut tried = 0;
    for event in story_events() {
        for mutant in mutants(&event) {
            let mut tx = sqlx::Connection::begin(&mut conn).await.unwrap();
            let done = apply(&mut tx, 1, &[applied(1, std::slice::from_ref(&mutant))]).await;
            assert_eq!(done.unwrap().events, 0, "{mutant}");
            assert_eq!(held(&mut tx).await.len(), 1, "{mutant}");
            let after: String = sqlx::query_scalar(balances).fetch_one(&mut *tx).await.unwrap();
            assert_eq!(after, before, "{mutant}");
            tx.rollback().await.unwrap();
            tried += 1;
        }
    }
    assert!(tried > 80, "{tried} mutants");
}

/// Returns the event with each key of its data and of its frame, except the aggregates, renamed and
/// in another case.
fn mutants(event: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let data = event["data"].as_object().unwrap();
    for key in data.keys() {
        for name in [format!("{key}2"), key.to_uppercase()] {
            let mut data = data.clone();
            let value = data.remove(key).unwrap();
            data.insert(name, value);
            let mut mutant = event.clone();
            mutant["data"] = Value::Object(data);
            all.push(mutant);
        }
    }
    for key in ["name", "version", "data"] {
        let mut mutant = event.as_object().unwrap().clone();
        let value = mutant.remove(key).unwrap();
        mutant.insert(key.to_uppercase(), value);
        all.push(Value::Object(mutant));
    }
    all
}

/// PRJ-04: an event with an unknown name becomes a dead letter that keeps its payload.
#[tokio::test]
async fn an_invented_event_is_held_with_its_payload() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    let invented = json!({ "name": "MoneyPrinted", "version": 1,
        "aggregates": ["treasury_MY"], "data": { "amount": "1\u{0}" } });
    let done = apply(&mut conn, 0, &[applied(1, std::slice::from_ref(&invented))]).await.unwrap();
    assert_eq!(done.held[0].0, "MoneyPrinted");
    assert_eq!(done.held[0].1, "no event MoneyPrinted of version 1 is known");
    let kept: String = sqlx::query_scalar(r#"SELECT payload::text FROM "EventDLQ""#)
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), invented);
}

/// An event that does not name what it concerns cannot become a dead letter: it halts the projector
/// with a message that names it, and the checkpoint stays.
#[tokio::test]
async fn an_event_of_unknown_aggregates_stops_the_projector() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    apply(&mut conn, 0, &[]).await.unwrap();
    let nameless = json!({ "name": "UserCreated", "version": 1, "data": {} });
    let bad_event = applied(1, &[nameless]);
    let mut newer = applied(1, &[]);
    newer["version"] = 2.into();
    for payload in [bad_event, newer, json!("nonsense")] {
        let error = apply(&mut conn, 1, &[payload]).await.unwrap_err();
        let ProjectorError::Halted(Halt::Unplaceable { block: 1, tx_id, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(tx_id, "tx-1-0");
    }
    let at: i64 = sqlx::query_scalar(r#"SELECT "blockNumber" FROM "ProjectorState""#)
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(at, 0);
}

/// PRJ-13, PRJ-15: an event that names an unknown account becomes a dead letter and is never
/// dropped. It holds back no other event, and can be applied once the account is known.
#[tokio::test]
async fn an_event_with_an_unknown_account_becomes_a_dead_letter_and_replays() {
    let chain = Chain::bootstrapped().await;
    let (known, stranger) = (chain.person(1).await, chain.person(2).await);
    chain.execute(&[create(&known), create(&stranger)]).await;
    let to_stranger = crate::chain::transfer("SYSTEM_LOAN_POOL", &stranger.id.to_string(), 3);
    let to_known = crate::chain::transfer("SYSTEM_LOAN_POOL", &known.id.to_string(), 5);
    chain.execute(&[to_stranger.clone(), to_known]).await;
    chain.execute(&[to_stranger]).await;
    let settings = ApplySettings { decode: without_number_two, ..chain.settings() };
    chain.catch_up(&mut chain.projector_by(settings)).await;

    let mut conn = chain.db.connection().await;
    let reasons = held(&mut conn).await;
    let names: Vec<_> = reasons.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["UserCreated", "TransferCompleted", "TransferCompleted"]);
    let no_account = format!("the read model has no account {}", stranger.id);
    assert_eq!([&reasons[1].1, &reasons[2].1], [&no_account, &no_account]);
    let balances = r#"SELECT string_agg(balance::text, ' ' ORDER BY "profileId") FROM "Wallet"
                      WHERE kind = 'USER'"#;
    assert_eq!(chain.one(balances).await, "5000000");

    let second: i64 = sqlx::query_scalar(
        r#"SELECT "deadEventId" FROM "EventDLQ" ORDER BY "deadEventId" OFFSET 1 LIMIT 1"#,
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    let one = Selection::One(second);
    let report = replay_dead(&mut conn, CHANNEL, one, EventRecord::decode, NOW).await.unwrap();
    assert_eq!(report.replayed_count, 0);
    assert_eq!(report.still_held[0].reason, no_account);

    let all = Selection::All;
    let report = replay_dead(&mut conn, CHANNEL, all, EventRecord::decode, NOW).await.unwrap();
    assert_eq!((report.replayed_count, report.still_held_count), (3, 0), "{report:?}");
    assert_eq!(chain.one(balances).await, "5000000 6000000");
    assert_eq!(chain.total().await, gx_model::Qirat::SUPPLY.to_string());
}

/// The decoder of a release that uses an older name of a field.
fn corrected(record: &EventRecord) -> Result<DomainEvent, UnreadableEvent> {
    let mut json = record.json().clone();
    if let Some(data) = json.as_object_mut().and_then(|event| event.remove("payload")) {
        json["data"] = data;
    }
    EventRecord::from_json(json).decode()
}

/// PRJ-01: twenty events with a misnamed field of the frame are twenty dead letters, a counter at
/// twenty and a degraded health report; after the decoder is corrected they can be replayed.
#[tokio::test]
async fn twenty_misnamed_envelopes_are_held_counted_and_replayed() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let chain = Chain::bootstrapped().await;
    for n in 0..20 {
        let person = chain.person(n).await;
        let event = json!({ "name": "UserCreated", "version": 1,
            "aggregates": [person.id.to_string()],
            "payload": { "userId": person.id.to_string(), "nationality": "MY" } });
        let payload = applied(n, &[event]);
        chain.devnet.faults().replace_next_event("GxBatch", &serde_json::to_vec(&payload).unwrap());
        chain.execute(&[create(&person)]).await;
    }
    let height = chain.height().await;
    let board = HealthBoard::new("projector", chain.clock.clone());
    let stop = CancellationToken::new();
    let settings = ProjectorSettings { tip_interval_ms: 50, ..ProjectorSettings::default() };
    let rng = StdRng::seed_from_u64(4);
    let running = gx_projector::run(chain.projector(), settings, rng, stop.clone(), board.clone());
    let running = tokio::spawn(running);
    let degraded = async {
        loop {
            let report = serde_json::to_value(board.report().await).unwrap();
            if report["checks"]["deadEvents"]["value"]["held"] == 20
                && chain.checkpoint().await == Some(height - 1)
            {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let report = tokio::time::timeout(BOUND, degraded).await.unwrap();
    assert_eq!(report["status"], "degraded", "{report}");
    assert!(metrics.render().contains("gx_events_rejected_total 20"), "{}", metrics.render());
    stop.cancel();
    running.await.unwrap().unwrap();

    let mut conn = chain.db.connection().await;
    assert_eq!(count(&mut conn, "LedgerUser").await, 0);
    let all = Selection::All;
    let report = replay_dead(&mut conn, CHANNEL, all, EventRecord::decode, NOW).await.unwrap();
    assert_eq!((report.replayed_count, report.still_held_count), (0, 20));
    let report = replay_dead(&mut conn, CHANNEL, all, corrected, NOW).await.unwrap();
    assert_eq!((report.replayed_count, report.still_held_count), (20, 0));
    assert_eq!(count(&mut conn, "LedgerUser").await, 20);
}

/// A dead letter does not stop the other events.
#[tokio::test]
async fn a_dead_letter_does_not_stop_other_events() {
    let chain = Chain::bootstrapped().await;
    let (lost, fine) = (chain.person(1).await, chain.person(2).await);
    let event = json!({ "name": "UserCreated", "version": 9,
        "aggregates": [lost.id.to_string()], "data": {} });
    let mut payload = applied(1, &[event]);
    payload["entries"][0]["commandId"] = fresh_id().to_string().into();
    chain.devnet.faults().replace_next_event("GxBatch", &serde_json::to_vec(&payload).unwrap());
    chain.execute(&[create(&lost)]).await;
    chain.execute(&[create(&fine), grant(&fine)]).await;
    chain.catch_up(&mut chain.projector()).await;
    let statuses = r#"SELECT string_agg(status, ' ' ORDER BY "profileId") FROM "UserProfile""#;
    assert_eq!(chain.one(statuses).await, "APPROVED_PENDING_ONCHAIN ACTIVE");
}

/// PRJ-01: an event whose texts PostgreSQL cannot store becomes a dead letter like any other.
#[tokio::test]
async fn an_event_with_a_nul_is_held_and_stops_nothing() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    let event = json!({ "name": "New\0Thing", "version": 1, "aggregates": ["a\0b"], "data": {} });
    let again = event.clone();
    let done = apply(&mut conn, 0, &[applied(1, &[event])]).await.unwrap();
    assert_eq!(done.held.len(), 1);
    apply(&mut conn, 1, &[applied(2, &[again])]).await.unwrap();
    let all = held(&mut conn).await;
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].0, "New\u{fffd}Thing");
    assert_eq!(all[1], all[0]);
    let names = r#"SELECT aggregates[1] FROM "EventDLQ" LIMIT 1"#;
    let names: String = sqlx::query_scalar(names).fetch_one(&mut conn).await.unwrap();
    assert_eq!(names, "a\u{fffd}b");
}

/// PRJ-01: an event that was replayed and whose effects were lost with the read model becomes a
/// dead letter again if it cannot be applied again.
#[tokio::test]
async fn a_replayed_event_whose_effects_are_gone_is_held_again() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    let event = json!({ "name": "NewThing", "version": 1, "aggregates": ["a"], "data": {} });
    apply(&mut conn, 0, &[applied(1, std::slice::from_ref(&event))]).await.unwrap();
    for sql in [
        r#"UPDATE "EventDLQ" SET state = 'REPLAYED', "resolvedAt" = now()"#,
        r#"DELETE FROM "ProjectorState""#,
    ] {
        sqlx::query(sql).execute(&mut conn).await.unwrap();
    }
    apply(&mut conn, 0, &[applied(1, &[event])]).await.unwrap();
    assert_eq!(held(&mut conn).await.len(), 1);
}
