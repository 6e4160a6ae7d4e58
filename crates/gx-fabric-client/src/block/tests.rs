use gx_fabric_proto::common::{BlockData, BlockHeader, BlockMetadata, Header};
use gx_fabric_proto::protos::{
    ChaincodeEndorsedAction, ChaincodeEvent as WireEvent, TransactionAction,
};
use prost_types::Timestamp;

use super::*;
use crate::block::BlockId;
use crate::block::{check_follows, check_same};

const VALID: u8 = 0;
const MVCC: u8 = 11;

fn entry(kind: HeaderType, data: Vec<u8>) -> Vec<u8> {
    let channel_header = ChannelHeader {
        r#type: kind.into(),
        tx_id: "4d".to_owned(),
        timestamp: Some(Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 }),
        ..Default::default()
    };
    let header = Header { channel_header: channel_header.encode_to_vec(), ..Default::default() };
    let payload = Payload { header: Some(header), data };
    Envelope { payload: payload.encode_to_vec(), signature: vec![1] }.encode_to_vec()
}

fn transaction(event: Option<WireEvent>, actions: usize) -> Vec<u8> {
    let action = ChaincodeAction {
        events: event.map(|event| event.encode_to_vec()).unwrap_or_default(),
        ..Default::default()
    };
    let response =
        ProposalResponsePayload { extension: action.encode_to_vec(), ..Default::default() };
    let endorsed = ChaincodeEndorsedAction {
        proposal_response_payload: response.encode_to_vec(),
        ..Default::default()
    };
    let payload = ChaincodeActionPayload { action: Some(endorsed), ..Default::default() };
    let action = TransactionAction { payload: payload.encode_to_vec(), ..Default::default() };
    Transaction { actions: vec![action; actions] }.encode_to_vec()
}

fn event() -> WireEvent {
    WireEvent {
        chaincode_id: "gxtv3".to_owned(),
        tx_id: "4d".to_owned(),
        event_name: "GxBatch".to_owned(),
        payload: b"{}".to_vec(),
    }
}

fn block(number: u64, previous_hash: &[u8], entries: Vec<Vec<u8>>, codes: &[u8]) -> common::Block {
    let data = BlockData { data: entries };
    let commit_hash = Metadata { value: vec![7; 32], ..Default::default() }.encode_to_vec();
    common::Block {
        header: Some(BlockHeader {
            number,
            previous_hash: previous_hash.to_vec(),
            data_hash: block_data_hash(&data).to_vec(),
        }),
        data: Some(data),
        metadata: Some(BlockMetadata {
            metadata: vec![vec![], vec![], codes.to_vec(), vec![], commit_hash],
        }),
    }
}

#[test]
fn an_event_is_read_with_its_code_and_time_whether_valid_or_not() {
    let endorsed = || entry(HeaderType::EndorserTransaction, transaction(Some(event()), 1));
    let config = entry(HeaderType::Config, b"anything".to_vec());
    let wire = block(3, &[1; 32], vec![endorsed(), endorsed(), config], &[VALID, MVCC, VALID]);
    let block = Block::read(&wire).unwrap();

    assert_eq!(block.id(), BlockId { number: 3, hash: block_header_hash(&wire.header.unwrap()) });
    assert_eq!(block.commit_hash, Some(vec![7; 32]));
    let [valid, conflict, config] = block.transactions.as_slice() else { panic!("three entries") };
    assert_eq!(valid.event.as_ref().unwrap().name, "GxBatch");
    assert_eq!(valid.event, conflict.event, "an invalid transaction stays with its event");
    assert!(valid.code.is_valid());
    assert!(!conflict.code.is_valid());
    assert!(conflict.code.is_conflict());
    assert_eq!(conflict.code.to_string(), "MVCC_READ_CONFLICT");
    assert_eq!(valid.timestamp.unix_timestamp_nanos(), 1_700_000_000_005_000_000);
    assert_eq!((config.kind, config.index, &config.event), (TransactionKind::Config, 2, &None));
}

#[test]
fn an_unreadable_entry_is_kept_if_invalid_and_an_error_if_valid() {
    let garbage = || vec![0xff, 0xff, 0xff];
    let kept = Block::read(&block(3, &[1; 32], vec![garbage()], &[2])).unwrap();
    assert_eq!(kept.transactions[0].kind, TransactionKind::Other);
    assert_eq!(kept.transactions[0].code.name(), "BAD_PAYLOAD");

    let two_actions = entry(HeaderType::EndorserTransaction, transaction(Some(event()), 2));
    for entry in [garbage(), two_actions] {
        let error = Block::read(&block(3, &[1; 32], vec![entry], &[VALID])).unwrap_err();
        assert!(matches!(error, ChainError::Malformed { number: Some(3), .. }), "{error}");
    }
}

#[test]
fn a_block_must_be_complete_and_match_its_data_hash() {
    let good = || block(3, &[1; 32], vec![entry(HeaderType::Config, vec![])], &[VALID]);
    let mut forged = good();
    forged.data.as_mut().unwrap().data[0].push(0);
    assert_eq!(Block::read(&forged).unwrap_err(), ChainError::DataHash { number: 3 });

    let mut unjudged = good();
    unjudged.metadata = None;
    assert!(matches!(Block::read(&unjudged), Err(ChainError::Malformed { .. })));
    let mut headless = good();
    headless.header = None;
    assert!(matches!(Block::read(&headless), Err(ChainError::Malformed { number: None, .. })));
}

#[test]
fn a_code_newer_than_this_program_keeps_its_number() {
    assert_eq!(ValidationCode(77).name(), "CODE_77");
    assert!(!ValidationCode(77).is_valid());
}

#[test]
fn a_gap_a_fork_and_another_chain_are_different_errors() {
    let one = Block::read(&block(1, &[0; 32], vec![], &[])).unwrap();
    let two = Block::read(&block(2, &one.hash, vec![], &[])).unwrap();
    let fork = Block::read(&block(2, &[9; 32], vec![], &[])).unwrap();
    let four = Block::read(&block(4, &two.hash, vec![], &[])).unwrap();

    check_follows(one.id(), &two).unwrap();
    check_same(two.id(), &two).unwrap();
    assert_eq!(
        check_follows(one.id(), &fork),
        Err(ChainError::BrokenChain { number: 2, expected: one.hash, found: vec![9; 32] })
    );
    assert_eq!(check_follows(two.id(), &four), Err(ChainError::Gap { expected: 3, found: 4 }));
    assert_eq!(check_follows(two.id(), &two), Err(ChainError::Gap { expected: 3, found: 2 }));
    assert_eq!(
        check_same(two.id(), &fork),
        Err(ChainError::OtherChain { number: 2, expected: two.hash, found: fork.hash })
    );
}
