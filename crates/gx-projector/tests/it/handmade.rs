//! Blocks that are built in the test, for content that no ledger writes.

use gx_fabric_client::{Block, BlockTransaction, ChaincodeEvent, TransactionKind, ValidationCode};
use gx_model::BatchEvent;
use serde_json::{Value, json};
use time::macros::datetime;

use crate::chain::CHAINCODE;

/// Returns the hash of the block with that number.
fn hash(number: u64) -> [u8; 32] {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    hash
}

/// Returns a block with one valid transaction for each event payload, each entry applied.
pub(crate) fn block(number: u64, payloads: &[Value]) -> Block {
    let transactions = payloads.iter().enumerate().map(|(index, payload)| {
        let tx_id = format!("tx-{number}-{index}");
        BlockTransaction {
            index: u32::try_from(index).unwrap(),
            code: ValidationCode::VALID,
            kind: TransactionKind::Endorser,
            timestamp: datetime!(2026-05-04 03:02:01.987_654 UTC)
                + time::Duration::seconds(i64::try_from(number).unwrap()),
            event: Some(ChaincodeEvent {
                chaincode_id: CHAINCODE.to_owned(),
                tx_id: tx_id.clone(),
                name: BatchEvent::NAME.to_owned(),
                payload: serde_json::to_vec(payload).unwrap(),
            }),
            tx_id,
        }
    });
    Block {
        number,
        hash: hash(number),
        previous_hash: if number == 0 { vec![] } else { hash(number - 1).to_vec() },
        data_hash: vec![],
        transactions: transactions.collect(),
        commit_hash: None,
        bytes: 0,
    }
}

/// Returns the chaincode event of a transaction with one applied command that has these events.
pub(crate) fn applied(command: u32, events: &[Value]) -> Value {
    json!({ "version": 1, "entries": [{
        "commandId": crate::chain::create_id(command).to_string(),
        "outcome": { "status": "APPLIED" },
        "events": events,
    }]})
}

/// The recorded story of gx-model, which has every kind of event.
pub(crate) fn story() -> Value {
    serde_json::from_str(include_str!("../../../gx-model/tests/recorded/story.json")).unwrap()
}

/// Returns the events of the story, in order.
pub(crate) fn story_events() -> Vec<Value> {
    let story = story();
    let entries = story["entries"].as_array().unwrap();
    entries.iter().flat_map(|entry| entry["events"].as_array().unwrap().clone()).collect()
}
