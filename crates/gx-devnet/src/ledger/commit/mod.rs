//! Validates and commits blocks, on the committing thread of the orderer. Only this module writes
//! the chain. Several blocks are committed together with one wait for the disk.

mod commit_hash;
mod private;

use gx_fabric_proto::block_header_hash;
use gx_fabric_proto::common::{Block, BlockHeader};
use gx_fabric_proto::protos::TxValidationCode;
use gx_ledger_api::Clock;
use prost::Message;
use prost_types::Timestamp;

use self::commit_hash::BlockWrites;
use self::private::PlacedTransaction;
use super::block::{
    channel_of, commit_hash, next_block, set_codes, set_commit_hash, sign, transactions,
};
use super::config::{ChannelConfig, config_envelope};
use super::state::{Batch, Location, Store, StoreError, Version};
use super::validation::{ChangedPolicies, Endorsed, NamespaceSet, Validated, conflict};
use crate::faults::Faults;
use crate::msp::Signer;

/// Number of blocks for which the private data of an endorsed transaction wait for its commit
/// (`peer.gossip.pvtData.transientstoreMaxBlockRetention`).
const TRANSIENT_BLOCKS: u64 = 20_000;

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    /// Number of blocks in the chain, which is the number of the next block.
    pub(crate) height: u64,
    hash: Vec<u8>,
    commit_hash: Vec<u8>,
}

/// Makes committed blocks from cut batches.
pub(crate) struct Committer {
    orderer: Signer,
    faults: Faults,
    tip: Tip,
}

impl Committer {
    /// Continues the chain in the store, or begins one with a genesis block.
    ///
    /// # Errors
    /// The inner error has the channel's name if the store has the chain of another channel.
    pub(crate) fn open(
        store: &Store,
        genesis: &Genesis<'_>,
        orderer: Signer,
        faults: Faults,
    ) -> Result<Result<Self, OtherChannel>, StoreError> {
        let tip = match store.newest_block()? {
            Some((number, block)) => {
                if let Some(found) = other_channel(store, &genesis.config.channel)? {
                    return Ok(Err(OtherChannel(found)));
                }
                tip_of(number, &block)
            }
            None => store.write(|batch| genesis.commit(batch))?,
        };
        Ok(Ok(Self { orderer, faults, tip }))
    }

    pub(crate) fn height(&self) -> u64 {
        self.tip.height
    }

    /// Continues from the end of the chain that is in the store now, after a return to a snapshot.
    pub(super) fn resume(&mut self, store: &Store) -> Result<(), StoreError> {
        if let Some((number, block)) = store.newest_block()? {
            self.tip = tip_of(number, &block);
        }
        Ok(())
    }

    /// Ends all block streams, whose readers may have read blocks that no longer exist.
    pub(super) fn end_streams(&self) {
        self.faults.end_streams();
        self.faults.orderer().end_streams();
    }

    /// Commits one block for each batch; all become durable together. Returns the height. After an
    /// error nothing is committed, and the committing thread ends.
    pub(crate) fn commit(
        &mut self,
        store: &Store,
        batches: Vec<Vec<Validated>>,
    ) -> Result<u64, StoreError> {
        let tip = store.write(|batch| {
            let mut tip = self.tip.clone();
            for transactions in batches {
                tip = self.commit_block(batch, &tip, transactions)?;
            }
            Ok(tip)
        })?;
        self.tip = tip;
        Ok(self.tip.height)
    }

    /// Adds the block with these transactions to the batch and returns the new end of the chain.
    fn commit_block(
        &self,
        batch: &mut Batch<'_>,
        tip: &Tip,
        transactions: Vec<Validated>,
    ) -> Result<Tip, StoreError> {
        let number = tip.height;
        let mut writes = BlockWrites::default();
        let mut changed = ChangedPolicies::default();
        let mut codes = Vec::with_capacity(transactions.len());
        let mut envelopes = Vec::with_capacity(transactions.len());
        for (index, transaction) in transactions.into_iter().enumerate() {
            let index = u32::try_from(index).expect("a block holds fewer than 2^32 transactions");
            let version = Version { block: number, transaction: index };
            let code = self.apply(batch, &mut writes, &mut changed, version, &transaction)?;
            codes.push(code_byte(code));
            envelopes.push(transaction.bytes);
        }
        batch.expire(number)?;
        if number.is_multiple_of(TRANSIENT_BLOCKS) {
            batch.private()?.forget_transient_below(number.saturating_sub(TRANSIENT_BLOCKS))?;
        }
        let mut block = next_block(number, &tip.hash, envelopes);
        sign(&mut block, &self.orderer);
        let commit_hash = writes.commit_hash(&codes, &tip.commit_hash).to_vec();
        set_codes(&mut block, codes);
        set_commit_hash(&mut block, &commit_hash);
        let hash = block_header_hash(block.header.as_ref().unwrap_or(&BlockHeader::default()));
        let hash = hash.to_vec();
        batch.put_block(number, &hash, &block.encode_to_vec())?;
        Ok(Tip { height: number + 1, hash, commit_hash })
    }

    /// Validates one transaction at its place in the block, and applies its writes if it is valid.
    /// Returns the validation code; an error is the store's.
    fn apply(
        &self,
        batch: &mut Batch<'_>,
        writes: &mut BlockWrites,
        changed: &mut ChangedPolicies,
        version: Version,
        transaction: &Validated,
    ) -> Result<TxValidationCode, StoreError> {
        if !transaction.tx_id.is_empty() && batch.has_transaction(&transaction.tx_id)? {
            return Ok(TxValidationCode::DuplicateTxid);
        }
        let forced = self.faults.take_validation_code(&transaction.bytes);
        let code = match (&transaction.validity, forced) {
            (_, Some(code)) => code,
            (Err(code), None) => *code,
            (Ok(endorsed), None) if !endorsed.is_enough(batch, changed)? => {
                TxValidationCode::EndorsementPolicyFailure
            }
            (Ok(Endorsed { sets, .. }), None) => {
                changed.add(sets);
                let conflict = conflict(batch, sets)?;
                let valid = conflict.is_none();
                if valid {
                    write_all(batch, writes, version, sets)?;
                }
                let committing =
                    PlacedTransaction { tx_id: &transaction.tx_id, at: version, valid };
                private::commit(batch, writes, &committing, sets)?;
                conflict.unwrap_or(TxValidationCode::Valid)
            }
        };
        if !transaction.tx_id.is_empty() {
            let Version { block, transaction: index } = version;
            let at = Location { block, transaction: index, code: code_byte(code) };
            batch.put_transaction(&transaction.tx_id, at)?;
        }
        Ok(code)
    }
}

/// Error: the store has the chain of the channel with this name.
#[derive(Debug)]
pub(crate) struct OtherChannel(pub(crate) String);

/// The content of the first block of a new chain.
pub(crate) struct Genesis<'a> {
    pub(crate) config: &'a ChannelConfig,
    pub(crate) clock: &'a Clock,
}

impl Genesis<'_> {
    /// Commits the genesis block and returns the end of the chain.
    fn commit(&self, batch: &mut Batch<'_>) -> Result<Tip, StoreError> {
        let now = self.clock.now();
        let timestamp = Timestamp {
            seconds: now.unix_timestamp(),
            nanos: i32::try_from(now.nanosecond()).expect("nanoseconds are below 10^9"),
        };
        let envelope = config_envelope(self.config, timestamp);
        let mut block = next_block(0, &[], vec![envelope.encode_to_vec()]);
        set_codes(&mut block, vec![code_byte(TxValidationCode::Valid)]);
        let bytes = block.encode_to_vec();
        let tip = tip_of(0, &bytes);
        batch.put_block(0, &tip.hash, &bytes)?;
        for transaction in transactions(&block) {
            let at = Location { block: 0, transaction: 0, code: transaction.code };
            batch.put_transaction(&transaction.id, at)?;
        }
        Ok(tip)
    }
}

/// Returns the channel of the stored chain if it is not the wanted one.
fn other_channel(store: &Store, wanted: &str) -> Result<Option<String>, StoreError> {
    let genesis = store.block(0)?.unwrap_or_default();
    let found = Block::decode(genesis.as_slice()).ok().and_then(|block| channel_of(&block));
    Ok(found.filter(|found| found != wanted))
}

/// Returns the end of a chain whose newest block is this one.
fn tip_of(number: u64, block: &[u8]) -> Tip {
    let block = Block::decode(block).expect("the store holds the blocks that were put there");
    let commit_hash = commit_hash(&block).unwrap_or_default();
    let hash = block_header_hash(&block.header.unwrap_or_default()).to_vec();
    Tip { height: number + 1, hash, commit_hash }
}

/// Applies the public writes of a valid transaction.
fn write_all(
    batch: &mut Batch<'_>,
    writes: &mut BlockWrites,
    version: Version,
    sets: &[NamespaceSet],
) -> Result<(), StoreError> {
    for set in sets {
        for write in &set.keys.writes {
            // An empty value deletes the key.
            let deletes = write.is_delete || write.value.is_empty();
            let value = (!deletes).then(|| write.value.clone());
            match &value {
                Some(value) => batch.put(&set.namespace, &write.key, version, value)?,
                None => batch.delete(&set.namespace, &write.key, version)?,
            }
            writes.record_public_write(&set.namespace, &write.key, version, value);
        }
        for metadata in &set.keys.metadata_writes {
            // A key that does not exist or was just deleted has no metadata.
            let Some(current) = batch.get(&set.namespace, &metadata.key)? else { continue };
            batch.put(&set.namespace, &metadata.key, version, &current.value)?;
            batch.put_metadata(&set.namespace, metadata)?;
            writes.record_public_write(&set.namespace, &metadata.key, version, Some(current.value));
        }
    }
    Ok(())
}

fn code_byte(code: TxValidationCode) -> u8 {
    u8::try_from(i32::from(code)).expect("validation codes fit one byte")
}
