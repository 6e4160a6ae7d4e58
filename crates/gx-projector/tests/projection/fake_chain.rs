//! Blocks made up by a test, for what no orderly ledger would deliver.

use gx_fabric_client::{Block, BlockTransaction, ChaincodeEvent, TransactionKind, ValidationCode};
use gx_model::{BatchEntry, BatchEvent, CommandId, EntryOutcome, EventRecord};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::world::CHAINCODE;

const TIME: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// A block that continues the one before it. Block 0 continues nothing.
pub(crate) fn block(number: u64, events: &[Value]) -> Block {
    let transactions = if events.is_empty() { vec![] } else { vec![transaction(number, events)] };
    Block {
        number,
        hash: hash(number),
        previous_hash: number.checked_sub(1).map(|before| hash(before).to_vec()).unwrap_or_default(),
        data_hash: vec![],
        transactions,
        commit_hash: None,
        bytes: 0,
    }
}

fn transaction(number: u64, events: &[Value]) -> BlockTransaction {
    let tx_id = format!("tx{number}");
    let entry = BatchEntry {
        command_id: CommandId::derive(&["fake", &tx_id]),
        outcome: EntryOutcome::Applied {},
        events: events.iter().cloned().map(EventRecord::from_json).collect(),
    };
    let batch = BatchEvent { version: BatchEvent::VERSION, entries: vec![entry] };
    BlockTransaction {
        index: 0,
        tx_id: tx_id.clone(),
        code: ValidationCode::VALID,
        kind: TransactionKind::Endorser,
        timestamp: TIME,
        event: Some(ChaincodeEvent {
            chaincode_id: CHAINCODE.to_owned(),
            tx_id,
            name: BatchEvent::NAME.to_owned(),
            payload: serde_json::to_vec(&batch).unwrap(),
        }),
    }
}

/// Different for every number; what it is a hash of does not matter here.
fn hash(number: u64) -> [u8; 32] {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    hash
}

/// The events of a ledger's story, as the contracts said them.
pub(crate) fn events_of_recording() -> Vec<Value> {
    const RECORDED: &str = include_str!("../../../gx-model/tests/recorded/story.json");
    let batch: BatchEvent = serde_json::from_str(RECORDED).unwrap();
    let events = batch.entries.into_iter().flat_map(|entry| entry.events);
    events.map(|record| record.json().clone()).collect()
}
