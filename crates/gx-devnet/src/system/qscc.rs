//! `qscc`: blocks and transactions by number, hash and id. The error of each query is a peer's
//! message.

use std::num::IntErrorKind;

use gx_fabric_proto::block_header_hash;
use gx_fabric_proto::common::{Block, BlockchainInfo, Envelope};
use gx_fabric_proto::protos::ProcessedTransaction;
use prost::Message;

use super::Query;
use crate::ledger::Location;

/// Answers a query of a caller who may read the channel.
pub(super) fn answer(query: &Query<'_>) -> Result<Vec<u8>, String> {
    if query.args.len() < 2 {
        return Err(format!("Incorrect number of arguments, {}", query.args.len()));
    }
    let (function, channel) = (query.text(0), query.text(1));
    if function != "GetChainInfo" && query.args.len() < 3 {
        return Err(format!("missing 3rd argument for {function}"));
    }
    if channel != query.node.channel {
        return Err(format!("Invalid chain ID, {channel}"));
    }
    let answer = match function.as_ref() {
        "GetChainInfo" => chain_info,
        "GetBlockByNumber" => block_by_number,
        "GetBlockByHash" => block_by_hash,
        "GetBlockByTxID" => block_by_transaction,
        "GetTransactionByID" => transaction,
        _ => {
            return Err(format!(
                "access denied for [{function}][{channel}]: [Unmapped policy for qscc/{function}]"
            ));
        }
    };
    query
        .check_reader(&channel)
        .map_err(|reason| format!("access denied for [{function}][{channel}]: [{reason}]"))?;
    answer(query)
}

fn chain_info(query: &Query<'_>) -> Result<Vec<u8>, String> {
    let height = query.height();
    let failed = |reason: String| format!("Failed to get block info with error {reason}");
    let newest = query.block(height - 1).map_err(|error| failed(error.to_string()))?;
    let newest = newest.and_then(|block| Block::decode(block.as_slice()).ok()?.header);
    let newest = newest.ok_or_else(|| failed(format!("block {} is missing", height - 1)))?;
    let info = BlockchainInfo {
        height,
        current_block_hash: block_header_hash(&newest).to_vec(),
        previous_block_hash: newest.previous_hash,
        ..BlockchainInfo::default()
    };
    Ok(info.encode_to_vec())
}

fn block_by_number(query: &Query<'_>) -> Result<Vec<u8>, String> {
    let asked = block_number(&query.text(2))
        .map_err(|reason| format!("Failed to parse block number with error {reason}"))?;
    // The largest number means the newest block.
    let number = if asked == u64::MAX { query.height() - 1 } else { asked };
    let failed = |reason: String| format!("Failed to get block number {asked}, error {reason}");
    let block = query.block(number).map_err(|error| failed(error.to_string()))?;
    block.ok_or_else(|| failed(format!("no such block number [{number}] in index")))
}

fn block_by_hash(query: &Query<'_>) -> Result<Vec<u8>, String> {
    let hash = &query.args[2];
    let failed =
        |reason: String| format!("Failed to get block hash {}, error {reason}", query.text(2));
    let number = query.node.store.block_number(hash).map_err(|error| failed(error.to_string()))?;
    let block = number.map(|number| query.block(number)).transpose();
    let block = block.map_err(|error| failed(error.to_string()))?.flatten();
    block.ok_or_else(|| failed(format!("no such block hash [{}] in index", hex::encode(hash))))
}

fn block_by_transaction(query: &Query<'_>) -> Result<Vec<u8>, String> {
    let failed =
        |reason: String| format!("Failed to get block for txID {}, error {reason}", query.text(2));
    located(query).map(|(_, block)| block).map_err(failed)
}

fn transaction(query: &Query<'_>) -> Result<Vec<u8>, String> {
    let failed = |reason: String| {
        format!("Failed to get transaction with id {}, error {reason}", query.text(2))
    };
    let (at, block) = located(query).map_err(failed)?;
    let place = usize::try_from(at.transaction).expect("a place in a block fits");
    let envelope = Block::decode(block.as_slice())
        .ok()
        .and_then(|block| block.data?.data.into_iter().nth(place))
        .and_then(|entry| Envelope::decode(entry.as_slice()).ok())
        .ok_or_else(|| failed(format!("block {} does not hold it", at.block)))?;
    let processed = ProcessedTransaction {
        transaction_envelope: Some(envelope),
        validation_code: i32::from(at.code),
    };
    Ok(processed.encode_to_vec())
}

/// Returns the position of the transaction in the third argument, and its block. The error says why
/// there is none.
fn located(query: &Query<'_>) -> Result<(Location, Vec<u8>), String> {
    let id = query.text(2);
    let unknown = || format!("no such transaction ID [{id}] in index");
    let at = query.node.store.transaction(&id).map_err(|error| error.to_string())?;
    let at = at.ok_or_else(unknown)?;
    let block = query.block(at.block).map_err(|error| error.to_string())?;
    Ok((at, block.ok_or_else(unknown)?))
}

/// Parses a decimal number without a sign. The error has the text of Go's parser.
fn block_number(text: &str) -> Result<u64, String> {
    let refused = |reason| Err(format!("strconv.ParseUint: parsing {text:?}: {reason}"));
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return refused("invalid syntax");
    }
    match text.parse::<u64>() {
        Ok(number) => Ok(number),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => refused("value out of range"),
        Err(_) => refused("invalid syntax"),
    }
}
