//! Blocks as a follower sees them: who wrote, how it was judged, which event came of it.

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

/// One block by number and hash: enough to go on from, on this chain and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockId {
    /// The genesis block is number 0.
    pub number: u64,
    /// SHA-256 of the header.
    pub hash: [u8; 32],
}

/// One block whose data is that of its header.
#[derive(Clone, Debug)]
pub struct Block {
    /// The genesis block is number 0.
    pub number: u64,
    /// SHA-256 of the header.
    pub hash: [u8; 32],
    /// The header's hash of the block before; empty in the genesis block.
    pub previous_hash: Vec<u8>,
    /// The header's hash of the entries.
    pub data_hash: Vec<u8>,
    /// Every entry, the invalid ones too.
    pub transactions: Vec<BlockTransaction>,
    /// The peer's running hash over validity and state, if it keeps one.
    pub commit_hash: Option<Vec<u8>>,
    /// The encoded size.
    pub bytes: usize,
}

/// One entry of a block.
#[derive(Clone, Debug)]
pub struct BlockTransaction {
    /// The position in the block.
    pub index: u32,
    /// Empty for entries that are no transactions.
    pub tx_id: String,
    /// How the peer judged it.
    pub code: ValidationCode,
    /// What it is.
    pub kind: TransactionKind,
    /// The client's time; the epoch in an invalid entry without a readable one.
    pub timestamp: OffsetDateTime,
    /// The event it carries, valid or not.
    pub event: Option<ChaincodeEvent>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionKind {
    /// A transaction of a chaincode.
    Endorser,
    /// The channel's configuration.
    Config,
    /// Anything else, or nothing readable.
    Other,
}

/// The one event that a transaction may carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaincodeEvent {
    /// Who set it.
    pub chaincode_id: String,
    /// In which transaction.
    pub tx_id: String,
    /// Its name.
    pub name: String,
    /// Its content.
    pub payload: Vec<u8>,
}

/// A peer's judgement of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ValidationCode(pub u8);

impl ValidationCode {
    /// It took effect.
    pub const VALID: Self = Self(0);
    /// Its id stands in an earlier place.
    pub const DUPLICATE_TXID: Self = Self(9);
    /// Too few or the wrong peers endorsed it.
    pub const ENDORSEMENT_POLICY_FAILURE: Self = Self(10);
    /// A key that it read was written meanwhile.
    pub const MVCC_READ_CONFLICT: Self = Self(11);
    /// A range that it read changed meanwhile.
    pub const PHANTOM_READ_CONFLICT: Self = Self(12);
    /// The peer has not judged it.
    pub const NOT_VALIDATED: Self = Self(254);

    /// Whether it took effect. Only this is success.
    pub fn is_valid(self) -> bool {
        self == Self::VALID
    }

    /// Whether proposing it anew may succeed.
    pub fn is_conflict(self) -> bool {
        matches!(self, Self::MVCC_READ_CONFLICT | Self::PHANTOM_READ_CONFLICT)
    }

    /// Fabric's name, or the number if it is newer than this program.
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
    /// Number and hash.
    pub fn id(&self) -> BlockId {
        BlockId { number: self.number, hash: self.hash }
    }

    /// Reads a block as a peer delivers it, and checks that its entries are its header's.
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
        // A genesis block comes without judgements; there is nothing to judge in it.
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

fn metadata(block: &common::Block, index: BlockMetadataIndex) -> &[u8] {
    let index = usize::try_from(i32::from(index)).expect("the indexes are not negative");
    block
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.metadata.get(index))
        .map_or(&[], Vec::as_slice)
}

fn commit_hash(block: &common::Block) -> Option<Vec<u8>> {
    let wrapped = Metadata::decode(metadata(block, BlockMetadataIndex::CommitHash)).ok()?;
    (!wrapped.value.is_empty()).then_some(wrapped.value)
}

#[cfg(test)]
mod tests;
