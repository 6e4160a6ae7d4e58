//! Blocks with their transactions, validation codes and events.
//!
//! `Block::read` is called for each block that a peer delivers. After a [`ChainError`] from it or
//! from the two checks below, the caller sets the peer aside and asks another one.

use std::borrow::Cow;
use std::fmt;

use gx_fabric_proto::common::{
    self, BlockMetadataIndex, ChannelHeader, Envelope, HeaderType, Metadata, Payload,
};
use gx_fabric_proto::protos::{
    self, ChaincodeAction, ChaincodeActionPayload, ProposalResponsePayload, Transaction,
    TxValidationCode,
};
use gx_fabric_proto::{block_data_hash, block_header_hash};
use prost::{DecodeError, Message};
use time::OffsetDateTime;

use crate::chain::ChainError;

/// The number and hash of a block, which identify a position on one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockId {
    /// The number; the genesis block is 0.
    pub number: u64,
    /// SHA-256 of the header.
    pub hash: [u8; 32],
}

/// A block whose data matches the data hash in its header.
#[derive(Clone, Debug)]
pub struct Block {
    /// The number; the genesis block is 0.
    pub number: u64,
    /// SHA-256 of the header.
    pub hash: [u8; 32],
    /// The previous block's hash, from the header; empty in the genesis block.
    pub previous_hash: Vec<u8>,
    /// The hash of the entries, from the header.
    pub data_hash: Vec<u8>,
    /// All entries, also those of invalid transactions.
    pub transactions: Vec<BlockTransaction>,
    /// The peer's running hash over validation codes and state; `None` if the peer keeps none.
    pub commit_hash: Option<Vec<u8>>,
    /// The size of the encoded block in bytes.
    pub bytes: usize,
}

/// One entry of a block.
#[derive(Clone, Debug)]
pub struct BlockTransaction {
    /// The position in the block, from 0.
    pub index: u32,
    /// The transaction id; empty for entries that are not transactions.
    pub tx_id: String,
    /// The validation code that the peer gave.
    pub code: ValidationCode,
    /// The kind of entry.
    pub kind: TransactionKind,
    /// The client's time; the Unix epoch if an invalid entry has no readable time.
    pub timestamp: OffsetDateTime,
    /// The chaincode event, also if the transaction is invalid.
    pub event: Option<ChaincodeEvent>,
}

/// The kind of a block entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionKind {
    /// A transaction of a chaincode.
    Endorser,
    /// A configuration of the channel.
    Config,
    /// Another kind, or an entry that cannot be read.
    Other,
}

/// The one event that a transaction can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaincodeEvent {
    /// The chaincode that set the event.
    pub chaincode_id: String,
    /// The transaction that set the event.
    pub tx_id: String,
    /// The event's name.
    pub name: String,
    /// The event's content.
    pub payload: Vec<u8>,
}

/// A peer's validation of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ValidationCode(pub u8);

impl ValidationCode {
    /// The transaction took effect.
    pub const VALID: Self = Self(0);
    /// A transaction with the same id is already on the chain.
    pub const DUPLICATE_TXID: Self = Self(9);
    /// The endorsements do not satisfy the policy.
    pub const ENDORSEMENT_POLICY_FAILURE: Self = Self(10);
    /// A key that the transaction read was written between endorsement and commit.
    pub const MVCC_READ_CONFLICT: Self = Self(11);
    /// A range that the transaction read changed between endorsement and commit.
    pub const PHANTOM_READ_CONFLICT: Self = Self(12);
    /// The peer has not validated the transaction.
    pub const NOT_VALIDATED: Self = Self(254);

    /// Returns whether the transaction took effect. No other code is a success.
    pub fn is_valid(self) -> bool {
        self == Self::VALID
    }

    /// Returns whether the transaction failed only because of other transactions: it can succeed if
    /// it is proposed again.
    pub fn is_conflict(self) -> bool {
        matches!(self, Self::MVCC_READ_CONFLICT | Self::PHANTOM_READ_CONFLICT)
    }

    /// Returns Fabric's name of the code, or `CODE_` with the number for a code that this release
    /// does not know.
    pub fn name(self) -> Cow<'static, str> {
        match TxValidationCode::try_from(i32::from(self.0)) {
            Ok(code) => Cow::Borrowed(code.as_str_name()),
            Err(_) => Cow::Owned(format!("CODE_{}", self.0)),
        }
    }
}

impl fmt::Display for ValidationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Block {
    /// Returns the number and hash.
    pub fn id(&self) -> BlockId {
        BlockId { number: self.number, hash: self.hash }
    }

    /// Reads a block that a peer delivered and checks the data hash in its header. Fails if the
    /// hash differs, or if a part or a valid transaction cannot be read; an invalid transaction
    /// that cannot be read is kept without content.
    pub(crate) fn read(block: &common::Block) -> Result<Self, ChainError> {
        let header = block
            .header
            .as_ref()
            .ok_or(ChainError::Malformed { number: None, reason: "no header" })?;
        let malformed = |reason| ChainError::Malformed { number: Some(header.number), reason };
        let data = block.data.as_ref().ok_or(malformed("no data"))?;
        if block_data_hash(data).as_slice() != header.data_hash {
            return Err(ChainError::DataHash { number: header.number });
        }
        let codes = metadata(block, BlockMetadataIndex::TransactionsFilter);
        // A genesis block has no validation codes, because nothing in it is validated.
        if codes.len() != data.data.len() && !(header.number == 0 && codes.is_empty()) {
            return Err(malformed("not one validation code for each transaction"));
        }
        let mut transactions = Vec::with_capacity(data.data.len());
        for (index, entry) in data.data.iter().enumerate() {
            let code = ValidationCode(codes.get(index).copied().unwrap_or_default());
            let index = u32::try_from(index).map_err(|_| malformed("too many transactions"))?;
            let transaction = match BlockTransaction::read(index, code, entry) {
                Ok(transaction) => transaction,
                Err(_) if !code.is_valid() => BlockTransaction::unreadable(index, code),
                Err(_) => return Err(malformed("a valid transaction cannot be read")),
            };
            transactions.push(transaction);
        }
        Ok(Self {
            number: header.number,
            hash: block_header_hash(header),
            previous_hash: header.previous_hash.clone(),
            data_hash: header.data_hash.clone(),
            transactions,
            commit_hash: commit_hash(block),
            bytes: block.encoded_len(),
        })
    }
}

/// Why an entry cannot be read.
enum Unreadable {
    Encoding,
    Incomplete,
}

impl From<DecodeError> for Unreadable {
    fn from(_: DecodeError) -> Self {
        Self::Encoding
    }
}

impl BlockTransaction {
    fn read(index: u32, code: ValidationCode, entry: &[u8]) -> Result<Self, Unreadable> {
        let envelope = Envelope::decode(entry)?;
        let payload = Payload::decode(envelope.payload.as_slice())?;
        let header = payload.header.ok_or(Unreadable::Incomplete)?;
        let channel_header = ChannelHeader::decode(header.channel_header.as_slice())?;
        let kind = match HeaderType::try_from(channel_header.r#type) {
            Ok(HeaderType::EndorserTransaction) => TransactionKind::Endorser,
            Ok(HeaderType::Config) => TransactionKind::Config,
            _ => TransactionKind::Other,
        };
        let event = match kind {
            TransactionKind::Endorser => event_of(&payload.data)?,
            TransactionKind::Config | TransactionKind::Other => None,
        };
        let timestamp = channel_header
            .timestamp
            .and_then(|t| {
                let nanos = i128::from(t.seconds) * 1_000_000_000 + i128::from(t.nanos);
                OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
            })
            .ok_or(Unreadable::Incomplete)?;
        Ok(Self { index, tx_id: channel_header.tx_id, code, kind, timestamp, event })
    }

    /// Returns an invalid entry without id, time and event.
    fn unreadable(index: u32, code: ValidationCode) -> Self {
        Self {
            index,
            tx_id: String::new(),
            code,
            kind: TransactionKind::Other,
            timestamp: OffsetDateTime::UNIX_EPOCH,
            event: None,
        }
    }
}

/// Returns the event of an endorsed transaction, or `None` if the transaction has none.
fn event_of(transaction: &[u8]) -> Result<Option<ChaincodeEvent>, Unreadable> {
    let transaction = Transaction::decode(transaction)?;
    let [action] = transaction.actions.as_slice() else {
        return Err(Unreadable::Incomplete);
    };
    let endorsed = ChaincodeActionPayload::decode(action.payload.as_slice())?
        .action
        .ok_or(Unreadable::Incomplete)?;
    let response = ProposalResponsePayload::decode(endorsed.proposal_response_payload.as_slice())?;
    let action = ChaincodeAction::decode(response.extension.as_slice())?;
    if action.events.is_empty() {
        return Ok(None);
    }
    let event = protos::ChaincodeEvent::decode(action.events.as_slice())?;
    Ok(Some(ChaincodeEvent {
        chaincode_id: event.chaincode_id,
        tx_id: event.tx_id,
        name: event.event_name,
        payload: event.payload,
    }))
}

/// Returns a slot of the block's metadata; empty if the block does not have the slot.
fn metadata(block: &common::Block, index: BlockMetadataIndex) -> &[u8] {
    let index = usize::try_from(i32::from(index)).expect("the indexes are not negative");
    block
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.metadata.get(index))
        .map_or(&[], Vec::as_slice)
}

/// Returns the commit hash, or `None` if the peer keeps none or it cannot be read.
fn commit_hash(block: &common::Block) -> Option<Vec<u8>> {
    let wrapped = Metadata::decode(metadata(block, BlockMetadataIndex::CommitHash)).ok()?;
    (!wrapped.value.is_empty()).then_some(wrapped.value)
}

/// Checks that `block` has the known number and hash. Called for the first block of each stream,
/// and for blocks that peers are asked to confirm.
pub(crate) fn check_same(known: BlockId, block: &Block) -> Result<(), ChainError> {
    if block.number != known.number {
        return Err(ChainError::Gap { expected: known.number, found: block.number });
    }
    if block.hash != known.hash {
        return Err(ChainError::OtherChain {
            number: known.number,
            expected: known.hash,
            found: block.hash,
        });
    }
    Ok(())
}

/// Checks that `block` is the successor of `before`. Called for each further block of a stream.
pub(crate) fn check_follows(before: BlockId, block: &Block) -> Result<(), ChainError> {
    if Some(block.number) != before.number.checked_add(1) {
        return Err(ChainError::Gap {
            expected: before.number.saturating_add(1),
            found: block.number,
        });
    }
    if block.previous_hash != before.hash {
        return Err(ChainError::BrokenChain {
            number: block.number,
            expected: before.hash,
            found: block.previous_hash.clone(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
