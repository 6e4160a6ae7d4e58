//! Creates, signs and reads blocks. The committer makes them; streams, histories and the store read
//! them. A part that cannot be read is left out or `None`.

use gx_fabric_proto::common::{
    Block, BlockData, BlockHeader, BlockMetadata, BlockMetadataIndex, ChannelHeader, Envelope,
    HeaderType, LastConfig, Metadata, MetadataSignature, OrdererBlockMetadata, Payload,
    SignatureHeader,
};
use gx_fabric_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeEvent, ProposalResponsePayload, Transaction,
};
use gx_fabric_proto::{block_data_hash, block_header_bytes, block_header_hash};
use prost::Message;

use crate::msp::Signer;

/// Number of slots in a block's metadata; [`BlockMetadataIndex`] has their indexes.
const METADATA_SLOTS: usize = 5;

/// Number of bytes of the nonce in a signature header.
pub(super) const NONCE_BYTES: usize = 24;

/// Returns the next block of the chain with these envelopes, without validation codes and commit
/// hash.
pub(super) fn next_block(number: u64, previous_hash: &[u8], envelopes: Vec<Vec<u8>>) -> Block {
    let data = BlockData { data: envelopes };
    let header = BlockHeader {
        number,
        previous_hash: previous_hash.to_vec(),
        data_hash: block_data_hash(&data).to_vec(),
    };
    let metadata = BlockMetadata { metadata: vec![Vec::new(); METADATA_SLOTS] };
    Block { header: Some(header), data: Some(data), metadata: Some(metadata) }
}

/// Adds the orderer's metadata: its signature and the number of the last configuration block.
pub(super) fn sign(block: &mut Block, orderer: &Signer) {
    let last_config = LastConfig { index: 0 };
    let value =
        OrdererBlockMetadata { last_config: Some(last_config), consenter_metadata: Vec::new() }
            .encode_to_vec();
    let header = block.header.clone().unwrap_or_default();
    // Only that nonces of different blocks differ is required.
    let nonce = block_header_hash(&header)[..NONCE_BYTES].to_vec();
    let signature_header =
        SignatureHeader { creator: orderer.creator().to_vec(), nonce }.encode_to_vec();
    let signed = [value.as_slice(), &signature_header, &block_header_bytes(&header)].concat();
    let signatures = Metadata {
        value,
        signatures: vec![MetadataSignature {
            signature_header,
            signature: orderer.sign(&signed),
            identifier_header: Vec::new(),
        }],
    };
    set_metadata(block, BlockMetadataIndex::Signatures, signatures.encode_to_vec());
    let last_config = Metadata { value: last_config.encode_to_vec(), signatures: Vec::new() };
    set_metadata(block, BlockMetadataIndex::LastConfig, last_config.encode_to_vec());
}

/// Adds the validation codes, one byte for each transaction.
pub(super) fn set_codes(block: &mut Block, codes: Vec<u8>) {
    set_metadata(block, BlockMetadataIndex::TransactionsFilter, codes);
}

/// Adds the hash over all validation codes and writes so far.
pub(super) fn set_commit_hash(block: &mut Block, hash: &[u8]) {
    let metadata = Metadata { value: hash.to_vec(), signatures: Vec::new() };
    set_metadata(block, BlockMetadataIndex::CommitHash, metadata.encode_to_vec());
}

/// Returns the commit hash in a stored block, or `None` for the genesis block, which has none.
pub(super) fn commit_hash(block: &Block) -> Option<Vec<u8>> {
    let slot = metadata(block, BlockMetadataIndex::CommitHash)?;
    Some(Metadata::decode(slot).ok()?.value).filter(|hash| !hash.is_empty())
}

/// Returns the channel in the block's first transaction, or `None` if it cannot be read.
pub(super) fn channel_of(block: &Block) -> Option<String> {
    let (header, _) = opened(block.data.as_ref()?.data.first()?)?;
    Some(header.channel_id)
}

/// One transaction of a block, as event streams need it.
pub(crate) struct CommittedTransaction {
    pub(crate) id: String,
    pub(crate) kind: i32,
    pub(crate) code: u8,
    /// The event of an endorsed transaction; a configuration has none.
    pub(crate) event: Option<ChaincodeEvent>,
}

/// Returns the transactions of a stored block, in their order.
pub(crate) fn transactions(block: &Block) -> Vec<CommittedTransaction> {
    let codes = metadata(block, BlockMetadataIndex::TransactionsFilter).unwrap_or_default();
    let entries = block.data.iter().flat_map(|data| &data.data);
    entries
        .zip(codes)
        .map(|(entry, code)| {
            let (header, data) = opened(entry).unwrap_or_default();
            let endorsed = header.r#type == i32::from(HeaderType::EndorserTransaction);
            CommittedTransaction {
                kind: header.r#type,
                code: *code,
                event: if endorsed { action_of(&data).and_then(|a| event_of(&a)) } else { None },
                id: header.tx_id,
            }
        })
        .collect()
}

/// The action of a chaincode and the header of its transaction.
pub(super) struct EndorsedTransaction {
    pub(super) channel: ChannelHeader,
    pub(super) action: ChaincodeAction,
}

/// Returns the endorsed transaction in an entry of a block, or `None` if it is something else.
pub(super) fn endorsed_transaction(entry: &[u8]) -> Option<EndorsedTransaction> {
    let (channel, data) = opened(entry)?;
    Some(EndorsedTransaction { channel, action: action_of(&data)? })
}

/// Returns the header and the data of an entry, or `None` if it cannot be read.
fn opened(entry: &[u8]) -> Option<(ChannelHeader, Vec<u8>)> {
    let envelope = Envelope::decode(entry).ok()?;
    let payload = Payload::decode(envelope.payload.as_slice()).ok()?;
    let header = ChannelHeader::decode(payload.header?.channel_header.as_slice()).ok()?;
    Some((header, payload.data))
}

/// Returns the endorsed action in the data of a transaction.
fn action_of(data: &[u8]) -> Option<ChaincodeAction> {
    let action = Transaction::decode(data).ok()?.actions.into_iter().next()?;
    let action = ChaincodeActionPayload::decode(action.payload.as_slice()).ok()?.action?;
    let response =
        ProposalResponsePayload::decode(action.proposal_response_payload.as_slice()).ok()?;
    ChaincodeAction::decode(response.extension.as_slice()).ok()
}

/// Returns the event of an action, or `None` if it has none.
fn event_of(action: &ChaincodeAction) -> Option<ChaincodeEvent> {
    let event = ChaincodeEvent::decode(action.events.as_slice()).ok()?;
    (!event.event_name.is_empty()).then_some(event)
}

/// Removes one slot of a block's metadata.
pub(crate) fn clear_metadata(block: &mut Block, index: BlockMetadataIndex) {
    set_metadata(block, index, Vec::new());
}

/// Returns one slot of a block's metadata.
fn metadata(block: &Block, index: BlockMetadataIndex) -> Option<&[u8]> {
    let slots = &block.metadata.as_ref()?.metadata;
    slots.get(usize::try_from(i32::from(index)).ok()?).map(Vec::as_slice)
}

fn set_metadata(block: &mut Block, index: BlockMetadataIndex, value: Vec<u8>) {
    let slots = &mut block.metadata.get_or_insert_default().metadata;
    slots.resize(METADATA_SLOTS.max(slots.len()), Vec::new());
    let index = usize::try_from(i32::from(index)).expect("the indexes are small and positive");
    slots[index] = value;
}
