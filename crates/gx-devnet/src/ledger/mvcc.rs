//! Whether what a transaction read is still so, at its turn in the block.

use gx_fabric_proto::kvrwset::{KvrwSet, RangeQueryInfo, range_query_info::ReadsInfo};
use gx_fabric_proto::protos::TxValidationCode;

use super::simulation::{reads, to_wire};
use super::store::{Batch, StoreError};

/// One namespace of a transaction's read and write set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamespaceSet {
    pub(super) namespace: String,
    pub(super) keys: KvrwSet,
}

/// Compares reads with the state that includes the block's transactions before this one.
pub(super) fn conflict(
    state: &Batch<'_>,
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
    }
    Ok(None)
}

/// A range read to its end must give the same keys and versions again. One that was not
/// read to its end counts up to its last key.
fn range_changed(
    state: &Batch<'_>,
    namespace: &str,
    query: &RangeQueryInfo,
) -> Result<bool, StoreError> {
    let Some(ReadsInfo::RawReads(recorded)) = &query.reads_info else {
        // Summaries by hash are never made here: what cannot be checked has changed.
        return Ok(true);
    };
    let mut current = state.range(namespace, &query.start_key, &query.end_key)?;
    if !query.itr_exhausted {
        current.truncate(recorded.kv_reads.len());
    }
    Ok(reads(&current) != recorded.kv_reads)
}
