//! Checks at commit that the values which a transaction read have not changed. The committer calls
//! it for each transaction that is endorsed.

use gx_fabric_proto::kvrwset::{RangeQueryInfo, range_query_info::ReadsInfo};
use gx_fabric_proto::protos::TxValidationCode;

use super::read_write_set::NamespaceSet;
use crate::ledger::state::{Batch, CollectionName, StoreError, to_read, to_wire};

/// Compares the reads with the state, which includes the block's earlier transactions. Returns the
/// validation code of a conflict, or `None` if nothing has changed.
pub(crate) fn conflict(
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

/// Returns whether a range has other keys or versions than recorded. If it was read to its end, it
/// is compared up to that end, and otherwise up to and including the last key that was read.
fn range_changed(
    state: &Batch<'_>,
    namespace: &str,
    query: &RangeQueryInfo,
) -> Result<bool, StoreError> {
    let Some(ReadsInfo::RawReads(recorded)) = &query.reads_info else {
        // Hash summaries are never created here; a range that cannot be checked counts as changed.
        return Ok(true);
    };
    // The next text after a key is the key with a zero character.
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
