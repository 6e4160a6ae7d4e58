//! Commits the changes of a transaction to collections of private data. Called by the committer for
//! each transaction that is endorsed as its policies require.

use gx_fabric_proto::kvrwset::{HashedRwSet, KvrwSet};
use gx_fabric_proto::rwset::TxPvtReadWriteSet;
use prost::Message;

use super::commit_hash::BlockWrites;
use crate::ledger::state::{Batch, CollectionName, PrivateTables, StoreError, Version, hash_of};
use crate::ledger::validation::{CollectionSet, NamespaceSet};

/// A transaction at its place in the block.
pub(super) struct PlacedTransaction<'a> {
    pub(super) tx_id: &'a str,
    pub(super) at: Version,
    /// Whether its writes apply. `false` if it conflicts with an earlier transaction: its private
    /// writes are then kept and delivered, as a peer does, but change no value.
    pub(super) valid: bool,
}

/// Stores the private writes that were kept at the endorsement and, if the transaction is valid,
/// applies them and the hashes. If the private writes are missing, only the hashes are applied, and
/// the values cannot be read.
pub(super) fn commit(
    batch: &mut Batch<'_>,
    writes: &mut BlockWrites,
    transaction: &PlacedTransaction<'_>,
    sets: &[NamespaceSet],
) -> Result<(), StoreError> {
    if sets.iter().all(|set| set.collections.is_empty()) {
        return Ok(());
    }
    let transient = batch.private()?.transient(transaction.tx_id)?.unwrap_or_default();
    for set in sets {
        for changes in &set.collections {
            let collection = CollectionName { namespace: &set.namespace, name: &changes.name };
            let private = private_set(&transient, collection, &changes.private_hash);
            commit_collection(batch, writes, transaction, collection, changes, private.as_ref())?;
        }
    }
    batch.private()?.remove_transient(transaction.tx_id)
}

/// Returns the private writes that have this hash, or `None` if they were not kept here.
fn private_set(
    transient: &TxPvtReadWriteSet,
    collection: CollectionName<'_>,
    hash: &[u8],
) -> Option<KvrwSet> {
    let mut namespaces = transient.ns_pvt_rwset.iter();
    let namespace = namespaces.find(|set| set.namespace == collection.namespace)?;
    let mut collections = namespace.collection_pvt_rwset.iter();
    let set = collections.find(|set| set.collection_name == collection.name)?;
    if hash_of(&set.rwset) == hash { KvrwSet::decode(set.rwset.as_slice()).ok() } else { None }
}

/// Commits the changes to one collection. `private` is `None` if the writes are missing.
fn commit_collection(
    batch: &mut Batch<'_>,
    writes: &mut BlockWrites,
    transaction: &PlacedTransaction<'_>,
    collection: CollectionName<'_>,
    changes: &CollectionSet,
    private: Option<&KvrwSet>,
) -> Result<(), StoreError> {
    let tables = batch.private()?;
    if let Some(private) = private {
        tables.put_writes(collection, transaction.at, private)?;
    }
    if transaction.valid {
        apply_hashes(tables, writes, transaction.at, collection, &changes.keys)?;
        if let Some(private) = private {
            apply_values(tables, transaction.at, collection, private)?;
        }
        for purged in changes.keys.hashed_writes.iter().filter(|write| write.is_purge) {
            tables.purge(collection, &purged.key_hash)?;
        }
    }
    // Stored writes of an invalid transaction expire, too.
    if changes.block_to_live > 0 && !changes.private_hash.is_empty() {
        let expiry = transaction.at.block.saturating_add(changes.block_to_live).saturating_add(1);
        let written = changes.keys.hashed_writes.iter().map(|write| write.key_hash.clone());
        let metadata = changes.keys.metadata_writes.iter().map(|write| write.key_hash.clone());
        let hashes: Vec<_> = written.chain(metadata).collect();
        batch.put_expiry(expiry, collection, transaction.at, &hashes)?;
    }
    Ok(())
}

/// Applies the public hashes.
fn apply_hashes(
    tables: &mut PrivateTables<'_>,
    writes: &mut BlockWrites,
    at: Version,
    collection: CollectionName<'_>,
    keys: &HashedRwSet,
) -> Result<(), StoreError> {
    for write in &keys.hashed_writes {
        let deletes = write.is_delete || write.is_purge;
        let hash = (!deletes).then_some(write.value_hash.as_slice());
        tables.put_hash(collection, &write.key_hash, at, hash)?;
        writes.record_hashed_write(collection, &write.key_hash, at, hash.map(<[u8]>::to_vec));
    }
    for metadata in &keys.metadata_writes {
        if let Some(hash) = tables.put_metadata(collection, metadata, at)? {
            writes.record_hashed_write(collection, &metadata.key_hash, at, Some(hash));
        }
    }
    Ok(())
}

/// Applies the private values.
fn apply_values(
    tables: &mut PrivateTables<'_>,
    at: Version,
    collection: CollectionName<'_>,
    private: &KvrwSet,
) -> Result<(), StoreError> {
    for write in &private.writes {
        let value = (!write.is_delete).then_some(write.value.as_slice());
        tables.put_value(collection, &write.key, at, value)?;
    }
    for metadata in &private.metadata_writes {
        tables.renew_value(collection, &metadata.key, at)?;
    }
    Ok(())
}
