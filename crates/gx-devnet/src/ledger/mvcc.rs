//! Whether what a transaction read is still so, at its turn in the block.

use gx_fabric_proto::kvrwset::{KvrwSet, RangeQueryInfo, range_query_info::ReadsInfo};
use gx_fabric_proto::protos::TxValidationCode;

use super::private::CollectionSet;
use super::simulation::{to_read, to_wire};
use super::store::{Batch, CollectionName, StoreError};

/// One namespace of a transaction's read and write set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamespaceSet {
    pub(super) namespace: String,
    pub(super) keys: KvrwSet,
    pub(super) collections: Vec<CollectionSet>,
}

impl NamespaceSet {
    /// Whether the transaction changes anything here.
    pub(super) fn has_writes(&self) -> bool {
        self.has_public_writes() || self.collections.iter().any(CollectionSet::is_written)
    }

    /// Whether the chaincode's own policy counts: not where all that is written has another.
    pub(super) fn needs_own_policy(&self) -> bool {
        let by_default = |set: &CollectionSet| set.is_written() && !set.has_own_policy;
        self.has_public_writes() || self.collections.iter().any(by_default) || !self.has_writes()
    }

    fn has_public_writes(&self) -> bool {
        !self.keys.writes.is_empty() || !self.keys.metadata_writes.is_empty()
    }
}

/// Compares reads with the state that includes the block's transactions before this one.
pub(super) fn conflict(
    state: &mut Batch<'_>,
    sets: &[NamespaceSet],
) -> Result<Option<TxValidationCode>, StoreError> {
    for set in sets {
        for read in &set.keys.reads {
            let current = state.get(&set.namespace, &read.key)?;
            if current.map(|current| to_wire(current.version)) != read.version {
                return Ok(Some(TxValidationCode::MvccReadConflict));
            }
        }
        for query in &set.keys.range_queries_info {
            if range_changed(state, &set.namespace, query)? {
                return Ok(Some(TxValidationCode::PhantomReadConflict));
            }
        }
        for changes in &set.collections {
            let collection = CollectionName { namespace: &set.namespace, name: &changes.name };
            for read in &changes.keys.hashed_reads {
                let current = state.private()?.version(collection, &read.key_hash)?;
                if current.map(to_wire) != read.version {
                    return Ok(Some(TxValidationCode::MvccReadConflict));
                }
            }
        }
    }
    Ok(None)
}

/// A range must give the same keys and versions again: one that was read to its end before
/// that end, another one up to and with its last key.
fn range_changed(
    state: &Batch<'_>,
    namespace: &str,
    query: &RangeQueryInfo,
) -> Result<bool, StoreError> {
    let Some(ReadsInfo::RawReads(recorded)) = &query.reads_info else {
        // Summaries by hash are never made here: what cannot be checked has changed.
        return Ok(true);
    };
    // The text that follows a key immediately is the key with a zero character.
    let after_last;
    let end = if query.itr_exhausted {
        &query.end_key
    } else {
        after_last = format!("{}\0", query.end_key);
        &after_last
    };
    let current = state.range(namespace, &query.start_key, end)?;
    let current = current.into_iter().map(|(key, found)| to_read(key, Some(found.version)));
    Ok(!current.eq(recorded.kv_reads.iter().cloned()))
}
