//! Compares the ledger's events with a recording. Readers are tested with the same recording, so a
//! difference is a change of the wire form and needs a new version.

use std::collections::BTreeSet;

use gx_model::{BatchEvent, DomainEvent};
use serde_json::Value;

use crate::journal::tell;

const RECORDED: &str = include_str!("../../../gx-model/tests/recorded/story.json");

/// PRJ-02: the events equal the recording byte by byte. Peers whose builds write keys in another
/// order could not endorse the same transaction.
#[test]
fn prj_02_the_ledger_speaks_as_recorded() {
    let said = BatchEvent { version: BatchEvent::VERSION, entries: tell().0 };
    let said = serde_json::to_string_pretty(&said).unwrap();
    assert_eq!(said, RECORDED.trim_end(), "the ledger says:\n{said}");
}

/// PRJ-04: readers know every event name that the ledger emits, and the story emits all of them.
#[test]
fn prj_04_every_emitted_name_is_known() {
    let (entries, _) = tell();
    let emitted: BTreeSet<&str> =
        entries.iter().flat_map(|entry| &entry.events).map(|event| event.name().unwrap()).collect();
    assert_eq!(emitted, DomainEvent::NAMES.into_iter().collect());
}

/// G5: neither the state nor an event has a field that can hold personal data. The fields `name`
/// hold names of events and countries.
#[test]
fn g5_no_field_on_the_ledger_holds_personal_data() {
    let (entries, ledger) = tell();
    let mut stored = BTreeSet::new();
    for value in ledger.state.values.values() {
        collect_keys(&serde_json::from_slice(value).unwrap(), &mut stored);
    }
    let expected = [
        "age",
        "amount",
        "balance",
        "biometricHash",
        "bootstrapped",
        "code",
        "content",
        "countryCode",
        "detail",
        "is",
        "name",
        "nationality",
        "outcome",
        "paused",
        "phase",
        "refusal",
        "rejection",
        "sharePpb",
        "standing",
        "status",
        "treasuryTotal",
        "txId",
        "userTotal",
        "users",
    ];
    assert_eq!(stored, expected.map(str::to_owned).into());

    let mut said = BTreeSet::new();
    for event in entries.iter().flat_map(|entry| &entry.events) {
        collect_keys(&event.json()["data"], &mut said);
    }
    let expected = [
        "account",
        "amount",
        "balance",
        "commandIds",
        "countries",
        "countryCode",
        "countryTreasuryTotal",
        "countryUserTotal",
        "countryUsers",
        "fee",
        "from",
        "fromBalance",
        "name",
        "nationality",
        "phase",
        "pools",
        "reasonCode",
        "refusal",
        "sharePpb",
        "to",
        "toBalance",
        "treasuryAmount",
        "treasuryBalance",
        "txType",
        "userId",
    ];
    assert_eq!(said, expected.map(str::to_owned).into());
}

fn collect_keys(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            keys.extend(fields.keys().cloned());
            fields.values().for_each(|value| collect_keys(value, keys));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}
