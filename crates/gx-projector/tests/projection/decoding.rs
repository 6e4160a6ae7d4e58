//! What cannot be read becomes a dead letter, and never a zero.

use std::collections::BTreeSet;
use std::time::Duration;

use gx_model::{Clock, DomainEvent, EventRecord, UnreadableEvent};
use gx_projector::{
    Halt, ProjectorError, ProjectorSettings, Selection, apply_block, replay_dead, run,
};
use gx_serve::{HealthBoard, Readiness};
use metrics_exporter_prometheus::PrometheusBuilder;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use sqlx::Connection;
use tokio_util::sync::CancellationToken;

use crate::fake_chain::{block, events_of_recording};
use crate::people::Person;
use crate::snapshot::{assert_same, read_model};
use crate::waiting::eventually;
use crate::world::{CHANNEL, World, rules};

/// PRJ-01: twenty events whose envelope calls `data` `payload` are twenty dead letters with
/// reason and payload, counted, and degrade the health of a projector that goes on; once the
/// decoder knows the field, a replay brings all of them.
#[tokio::test]
async fn prj_01_bad_envelopes_are_dead_letters_until_the_decoder_is_corrected() {
    // This thread's recorder, and all tasks of this test run on this thread.
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = World::bootstrapped().await;
    let mut people = Vec::new();
    for number in 0..20 {
        let person = world.person(number, "MY").await;
        let mut said = created(&person);
        rename(&mut said, "data", "payload");
        world.submit_saying(&[person.create()], &[said]).await;
        people.push(person);
    }
    let board = HealthBoard::new("projector", Clock::system());
    let shutdown = CancellationToken::new();
    let settings = ProjectorSettings { tip_interval_ms: 50, ..ProjectorSettings::default() };
    let rng = StdRng::seed_from_u64(1);
    let running =
        tokio::spawn(run(world.projector(), settings, rng, shutdown.clone(), board.clone()));

    eventually("a degraded projector that holds 20 events", async || {
        let report = board.report().await;
        let held = report.checks["deadEvents"]["value"]["held"].as_i64();
        (report.status == Readiness::Degraded && held == Some(20)).then_some(())
    })
    .await;
    assert!(metrics.render().contains("\ngx_events_rejected_total 20\n"), "{}", metrics.render());
    let letters = r#"SELECT count(*) FROM "EventDLQ"
        WHERE state = 'HELD' AND reason LIKE '%envelope is malformed%payload%'
          AND payload ->> 'name' = 'UserCreated' AND payload -> 'payload' ->> 'userId' IS NOT NULL"#;
    assert_eq!(world.count(letters).await, 20);
    assert_eq!(world.count(r#"SELECT count(*) FROM "LedgerUser""#).await, 0);

    let mut conn = world.conn().await;
    let now = Clock::system().now();
    let same = replay_dead(&mut conn, CHANNEL, Selection::All, EventRecord::decode, now).await;
    assert_eq!(same.unwrap().still_held.len(), 20, "nothing was corrected yet");
    let report = replay_dead(&mut conn, CHANNEL, Selection::All, corrected, now).await.unwrap();
    assert_eq!((report.replayed.len(), report.still_held.len()), (20, 0));
    for person in &people {
        assert_eq!(world.status(person).await, "ACTIVE");
    }
    eventually("a projector that holds nothing", async || {
        (board.report().await.status == Readiness::Ready).then_some(())
    })
    .await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

/// Reads envelopes that call `data` `payload`, as a corrected release would.
fn corrected(record: &EventRecord) -> Result<DomainEvent, UnreadableEvent> {
    let mut json = record.json().clone();
    if json.get("payload").is_some() {
        rename(&mut json, "payload", "data");
    }
    EventRecord::from_json(json).decode()
}

/// PRJ-02: the recorded payload of every event is applied; with any one key dropped, renamed
/// or recased it is a dead letter that names its reason, and no projected row changes.
#[tokio::test]
async fn prj_02_a_recorded_event_with_one_key_changed_changes_no_row() {
    let world = World::start().await;
    let recorded = recording_with_people(&world).await;
    let mut conn = world.conn().await;
    let (rules, now) = (rules(), Clock::system().now());
    let mut rng = StdRng::seed_from_u64(1);
    apply_block(&mut conn, &block(0, &[]), &rules, &mut rng, now).await.unwrap();
    let mut tried = 0;
    for (number, event) in (1..).zip(&recorded) {
        let before = read_model(&mut conn).await;
        for changed in with_one_key_changed(event) {
            let mut undone = conn.begin().await.unwrap();
            let block = block(number, &[changed.clone()]);
            let applied = apply_block(&mut undone, &block, &rules, &mut rng, now).await.unwrap();
            assert_eq!((applied.events, applied.held.len()), (0, 1), "{changed}");
            assert!(!applied.held[0].1.is_empty());
            let mut after = read_model(&mut undone).await;
            assert_eq!(after["EventDLQ"].len(), 1, "{changed}");
            for table in ["EventDLQ", "ProjectorState"] {
                after.insert(table, before[table].clone());
            }
            assert_same(&before, &after);
            undone.rollback().await.unwrap();
            tried += 1;
        }
        let block = block(number, std::slice::from_ref(event));
        let applied = apply_block(&mut conn, &block, &rules, &mut rng, now).await.unwrap();
        assert_eq!((applied.events, applied.held), (1, vec![]), "{event}");
    }
    assert!(tried > 150, "only {tried} changes were tried");
}

/// PRJ-02: an event that does not even say what it concerns cannot be set aside: it stops
/// the projector before its block.
#[tokio::test]
async fn prj_02_an_event_without_aggregates_stops_the_projector() {
    let world = World::bootstrapped().await;
    let person = world.person(1, "MY").await;
    let mut said = created(&person);
    rename(&mut said, "aggregates", "Aggregates");
    let spoilt = world.submit_saying(&[person.create()], &[said]).await;
    world.submit(&[world.person(2, "MY").await.create()]).await;
    let mut projector = world.projector();
    for _ in 0..2 {
        let halted = world.try_catch_up(&mut projector).await.unwrap_err();
        let ProjectorError::Halted(Halt::Unplaceable { block, tx_id, .. }) = halted else {
            panic!("{halted:?}");
        };
        assert_eq!((block, tx_id), (spoilt.block, spoilt.tx_id.clone()));
        assert_eq!(crate::world::checkpoint(world.pool()).await, Some(spoilt.block - 1));
    }
    assert_eq!(world.count(r#"SELECT count(*) FROM "LedgerUser""#).await, 0);
}

/// PRJ-04: every name that the ledger can emit has a handler that applies the recording of it.
#[tokio::test]
async fn prj_04_every_name_that_the_ledger_emits_is_handled() {
    let world = World::start().await;
    let recorded = recording_with_people(&world).await;
    let mut conn = world.conn().await;
    let mut rng = StdRng::seed_from_u64(1);
    let now = Clock::system().now();
    for number in 0..=recorded.len() {
        let events = number.checked_sub(1).map(|at| recorded[at].clone());
        let block = block(u64::try_from(number).unwrap(), events.as_slice());
        apply_block(&mut conn, &block, &rules(), &mut rng, now).await.unwrap();
    }
    let handled = world.texts(r#"SELECT DISTINCT "eventName" FROM "EventLog""#).await;
    let handled: BTreeSet<&str> = handled.iter().map(String::as_str).collect();
    let emitted: BTreeSet<&str> = DomainEvent::NAMES.into_iter().collect();
    assert!(emitted.is_subset(&handled), "{:?}", emitted.difference(&handled));
    assert_eq!(world.count(r#"SELECT count(*) FROM "EventDLQ""#).await, 0);
}

/// PRJ-04: an invented event, and one of a version to come, are dead letters that hold back
/// what they name and nothing else; a release that knows them replays them in order.
#[tokio::test]
async fn prj_04_an_invented_event_is_a_dead_letter_and_holds_back_its_person_only() {
    let world = World::bootstrapped().await;
    let (ann, ben) = (world.person(1, "MY").await, world.person(2, "MY").await);
    world.submit(&[ann.create(), ben.create()]).await;
    let invented = json!({
        "name": "WalletRenamed", "version": 1, "aggregates": [ann.id], "data": {"to": "x"},
    });
    let said = world.submit_saying(&[ann.freeze()], &[invented]).await;
    world.submit(&[ann.unfreeze(), ann.grant()]).await;
    world.submit(&[ben.freeze()]).await;
    let mut later = created(&ben);
    later["version"] = json!(2);
    world.submit_saying(&[ben.unfreeze()], &[later]).await;
    let mut projector = world.projector();
    let applied = world.catch_up(&mut projector).await;

    let held: Vec<_> = applied.into_iter().flat_map(|block| block.held).collect();
    let names: Vec<_> = held.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["WalletRenamed", "WalletUnfrozen", "GenesisDistributed", "UserCreated"]);
    assert_eq!(held[0].1, "no event WalletRenamed of version 1 is known");
    assert!(held[1].1.starts_with("held behind an earlier event of"), "{}", held[1].1);
    assert_eq!(held[3].1, "no event UserCreated of version 2 is known");
    let first = r#"SELECT "txId" FROM "EventDLQ" ORDER BY "deadEventId" LIMIT 1"#;
    assert_eq!(world.texts(first).await, [said.tx_id]);
    assert_eq!((world.status(&ann).await, world.status(&ben).await), ("ACTIVE".into(), "FROZEN".into()));

    let mut conn = world.conn().await;
    let now = Clock::system().now();
    let all = Selection::All;
    let report = replay_dead(&mut conn, CHANNEL, all, knows_renaming(), now).await.unwrap();
    assert_eq!((report.replayed.len(), report.still_held.len()), (3, 1), "{report:?}");
    assert_eq!(world.balance(ann.id.as_str()).await, Some(500_000_000));
}

/// A release to which a renaming means that nothing changed.
fn knows_renaming() -> gx_projector::Decode {
    |record| match record.name() {
        Some("WalletRenamed") => Ok(DomainEvent::CommandsCancelled { command_ids: vec![] }),
        _ => record.decode(),
    }
}

fn created(person: &Person) -> Value {
    let nationality = person.id.country();
    let event = DomainEvent::UserCreated { user_id: person.id.clone(), nationality };
    EventRecord::from(&event).json().clone()
}

/// The recorded events, and the people whom they concern.
async fn recording_with_people(world: &World) -> Vec<Value> {
    let events = events_of_recording();
    for event in events.iter().filter(|event| event["name"] == "UserCreated") {
        let id = event["data"]["userId"].as_str().unwrap().parse().unwrap();
        Person::with_id(id).approved_in(world.pool()).await;
    }
    events
}

fn rename(json: &mut Value, from: &str, to: &str) {
    let fields = json.as_object_mut().unwrap();
    let value = fields.remove(from).unwrap();
    fields.insert(to.to_owned(), value);
}

/// The event with one key after the other dropped, renamed and recased; only what tells
/// whom it concerns stays.
fn with_one_key_changed(event: &Value) -> Vec<Value> {
    let mut changed = Vec::new();
    for path in paths(event).into_iter().filter(|path| path != "/aggregates") {
        let (parent, key) = path.rsplit_once('/').unwrap();
        for new_key in [None, Some(format!("{key}2")), Some(recased(key))] {
            let mut json = event.clone();
            let fields = json.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            let value = fields.remove(key).unwrap();
            if let Some(new_key) = new_key {
                fields.insert(new_key, value);
            }
            changed.push(json);
        }
    }
    changed
}

/// Every key of the value, as a JSON pointer.
fn paths(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => vec![],
    };
    let mut found = Vec::new();
    for (key, child) in children {
        if value.is_object() {
            found.push(format!("/{key}"));
        }
        found.extend(paths(child).into_iter().map(|rest| format!("/{key}{rest}")));
    }
    found
}

fn recased(key: &str) -> String {
    let (first, rest) = key.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}
