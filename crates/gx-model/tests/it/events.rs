//! Domain events in their wire form, read from a recording of the ledger.

use std::collections::BTreeSet;

use gx_model::{BatchEvent, DomainEvent, EventRecord, UnreadableEvent};
use serde_json::{Value, json};

/// The recording. The tests of gx-contract compare it with the events that the contracts emit.
const RECORDED: &str = include_str!("../recorded/story.json");

fn recorded() -> Vec<EventRecord> {
    let batch: BatchEvent = serde_json::from_str(RECORDED).unwrap();
    batch.entries.into_iter().flat_map(|entry| entry.events).collect()
}

/// PRJ-02: recorded events are read, and written again they are the same.
#[test]
fn prj_02_recorded_events_are_read() {
    for record in recorded() {
        let event = record.decode().unwrap();
        assert_eq!(Some(event.name()), record.name());
        let aggregates = event.aggregates().iter().map(ToString::to_string).collect();
        assert_eq!(record.aggregates(), Some(aggregates));
        assert_eq!(EventRecord::from(&event), record);
    }
    let batch: BatchEvent = serde_json::from_str(RECORDED).unwrap();
    let again: Value = serde_json::to_value(&batch).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(RECORDED).unwrap());
}

/// PRJ-02, PRJ-04: every event that the ledger can emit is in the recording.
#[test]
fn prj_04_every_event_is_recorded() {
    let recorded = recorded();
    let names: BTreeSet<&str> = recorded.iter().map(|record| record.name().unwrap()).collect();
    assert_eq!(names, DomainEvent::NAMES.into_iter().collect());
}

/// PRJ-02: if any key of any event, at any depth, is missing, renamed or recased, or if a key is
/// added, the event is an error and gets no default.
#[test]
fn prj_02_every_key_of_every_event_is_required() {
    for record in recorded() {
        let name = record.name().unwrap().to_owned();
        for path in paths(record.json()) {
            let (parent, key) = path.rsplit_once('/').unwrap();
            let change = |new_key: Option<String>, keep: bool| {
                let mut json = record.json().clone();
                let fields = json.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                let value = fields.remove(key).unwrap();
                if let Some(new_key) = new_key {
                    fields.insert(new_key, value.clone());
                }
                if keep {
                    fields.insert(key.to_owned(), value);
                }
                let changed = EventRecord::from_json(json).decode();
                assert!(changed.is_err(), "{name}{path} became {changed:?}");
            };
            change(None, false);
            change(Some(format!("{key}2")), false);
            change(Some(recased(key)), false);
            change(Some(snake(key)), false);
            change(Some("surprise".to_owned()), true);
        }
    }
}

/// Returns every key of the value, as JSON pointers.
fn paths(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value, bool)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, v)| (key.clone(), v, true)).collect(),
        Value::Array(values) => {
            values.iter().enumerate().map(|(at, v)| (at.to_string(), v, false)).collect()
        }
        _ => vec![],
    };
    let mut found = vec![];
    for (key, value, is_field) in children {
        found.extend(is_field.then(|| format!("/{key}")));
        found.extend(paths(value).into_iter().map(|rest| format!("/{key}{rest}")));
    }
    found
}

fn recased(key: &str) -> String {
    let (first, rest) = key.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

fn snake(key: &str) -> String {
    let parts = key.chars().map(|c| match c.is_ascii_uppercase() {
        true => format!("_{}", c.to_ascii_lowercase()),
        false => c.to_string(),
    });
    let snake: String = parts.collect();
    if snake == key { format!("{key}_") } else { snake }
}

/// PRJ-02: amounts that are numbers, negative or above the supply are errors.
#[test]
fn prj_02_wrong_amounts_are_errors() {
    let is_transfer = |record: &EventRecord| record.name() == Some("TransferCompleted");
    let transfer = recorded().into_iter().find(is_transfer).unwrap();
    for wrong in [json!(100), json!(""), json!("-1"), json!("1.0"), json!("1250000000000000001")] {
        let mut json = transfer.json().clone();
        json["data"]["amount"] = wrong.clone();
        let read = EventRecord::from_json(json).decode();
        assert!(matches!(read, Err(UnreadableEvent::Data { .. })), "{wrong}: {read:?}");
    }
}

/// PRJ-04: an unknown name or version is a different error than malformed data, and the aggregates
/// can still be read.
#[test]
fn prj_04_unknown_events_are_named() {
    let json = json!({
        "name": "LoanGranted",
        "version": 1,
        "aggregates": ["MY 463 AUN834 0QKZB 5821"],
        "data": {"rate": 3},
    });
    let record = EventRecord::from_json(json);
    let unknown = UnreadableEvent::Unknown { name: "LoanGranted".to_owned(), version: 1 };
    assert_eq!(record.decode(), Err(unknown));
    assert_eq!(record.aggregates(), Some(vec!["MY 463 AUN834 0QKZB 5821".to_owned()]));

    let mut json = recorded()[0].json().clone();
    json["version"] = json!(2);
    let name = recorded()[0].name().unwrap().to_owned();
    let unknown = UnreadableEvent::Unknown { name, version: 2 };
    assert_eq!(EventRecord::from_json(json).decode(), Err(unknown));

    let nonsense = EventRecord::from_json(json!(["no", "event"]));
    assert!(matches!(nonsense.decode(), Err(UnreadableEvent::WireForm(_))));
    assert_eq!((nonsense.name(), nonsense.aggregates()), (None, None));
}
