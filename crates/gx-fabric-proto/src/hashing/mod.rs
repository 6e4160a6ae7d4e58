//! The hashes that Fabric computes over its encodings.
//!
//! The ledger client computes them to make transaction ids and to check blocks, the devnet also to
//! make blocks.

use sha2::{Digest, Sha256};

use crate::common::{BlockData, BlockHeader};

const DER_INTEGER: u8 = 0x02;
const DER_OCTET_STRING: u8 = 0x04;
const DER_SEQUENCE: u8 = 0x30;

/// Returns the transaction id that a peer computes from this nonce and creator.
pub fn transaction_id(nonce: &[u8], creator: &[u8]) -> String {
    let digest = Sha256::new().chain_update(nonce).chain_update(creator).finalize();
    hex::encode(digest)
}

/// Returns SHA-256 of the header's DER, which is the `previous_hash` of the next block.
pub fn block_header_hash(header: &BlockHeader) -> [u8; 32] {
    Sha256::digest(block_header_bytes(header)).into()
}

/// Encodes the header as DER: `SEQUENCE { INTEGER number, OCTET STRING previous_hash, OCTET STRING
/// data_hash }`.
pub fn block_header_bytes(header: &BlockHeader) -> Vec<u8> {
    let mut fields = der_element(DER_INTEGER, &minimal_integer(header.number));
    fields.extend(der_element(DER_OCTET_STRING, &header.previous_hash));
    fields.extend(der_element(DER_OCTET_STRING, &header.data_hash));
    der_element(DER_SEQUENCE, &fields)
}

/// Returns SHA-256 of the block's entries, concatenated.
pub fn block_data_hash(data: &BlockData) -> [u8; 32] {
    let mut hash = Sha256::new();
    for entry in &data.data {
        hash.update(entry);
    }
    hash.finalize().into()
}

/// Encodes a number as two's complement in as few bytes as possible. If the top bit is set, a zero
/// byte is put in front.
fn minimal_integer(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let leading_zeros = bytes.iter().take(bytes.len() - 1).take_while(|byte| **byte == 0).count();
    let significant = &bytes[leading_zeros..];
    let mut integer = Vec::with_capacity(significant.len() + 1);
    if significant[0] & 0x80 != 0 {
        integer.push(0);
    }
    integer.extend_from_slice(significant);
    integer
}

fn der_element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => element.push(short),
        _ => {
            let bytes = content.len().to_be_bytes();
            let leading_zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let length = &bytes[leading_zeros..];
            let count = u8::try_from(length.len()).expect("a usize has at most 8 bytes");
            element.push(0x80 | count);
            element.extend_from_slice(length);
        }
    }
    element.extend_from_slice(content);
    element
}

#[cfg(test)]
mod tests;
