//! A transaction being simulated: reads come from a snapshot and are recorded.

use std::collections::BTreeMap;

use gx_fabric_proto::kvrwset::{
    self, KvRead, KvWrite, KvrwSet, QueryReads, RangeQueryInfo, range_query_info::ReadsInfo,
};
use gx_fabric_proto::rwset::{NsReadWriteSet, TxReadWriteSet, tx_read_write_set::DataModel};
use prost::Message;

use super::store::{Snapshot, StoreError, Version, Versioned};

/// One chaincode's view of the state during one transaction.
pub(crate) struct Simulation {
    snapshot: Snapshot,
    namespace: String,
    reads: BTreeMap<String, Option<Version>>,
    ranges: Vec<RangeQueryInfo>,
}

impl Simulation {
    pub(crate) fn new(snapshot: Snapshot, namespace: &str) -> Self {
        let namespace = namespace.to_owned();
        Self { snapshot, namespace, reads: BTreeMap::new(), ranges: Vec::new() }
    }

    /// One value, as it was committed when the simulation began.
    pub(crate) fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.snapshot.get(&self.namespace, key)?;
        self.reads.insert(key.to_owned(), found.as_ref().map(|found| found.version));
        Ok(found.map(|found| found.value))
    }

    /// The keys from `start` on and before `end`. The result is checked again at commit.
    pub(crate) fn range(
        &mut self,
        start: &str,
        end: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let found = self.snapshot.range(&self.namespace, start, end)?;
        self.ranges.push(RangeQueryInfo {
            start_key: start.to_owned(),
            end_key: end.to_owned(),
            itr_exhausted: true,
            reads_info: Some(ReadsInfo::RawReads(QueryReads { kv_reads: reads(&found) })),
        });
        Ok(found.into_iter().map(|(key, found)| (key, found.value)).collect())
    }

    /// The encoded `TxReadWriteSet` of what was read and of these writes.
    pub(crate) fn read_write_set(self, writes: Vec<(String, Option<Vec<u8>>)>) -> Vec<u8> {
        let reads = self
            .reads
            .into_iter()
            .map(|(key, version)| KvRead { key, version: version.map(to_wire) });
        let writes: BTreeMap<_, _> = writes.into_iter().collect();
        let writes = writes.into_iter().map(|(key, value)| KvWrite {
            key,
            is_delete: value.is_none(),
            value: value.unwrap_or_default(),
        });
        let keys = KvrwSet {
            reads: reads.collect(),
            range_queries_info: self.ranges,
            writes: writes.collect(),
            metadata_writes: Vec::new(),
        };
        let namespace = NsReadWriteSet {
            namespace: self.namespace,
            rwset: keys.encode_to_vec(),
            collection_hashed_rwset: Vec::new(),
        };
        TxReadWriteSet { data_model: DataModel::Kv.into(), ns_rwset: vec![namespace] }
            .encode_to_vec()
    }
}

/// A range's result as it is recorded.
pub(super) fn reads(found: &[(String, Versioned)]) -> Vec<KvRead> {
    found
        .iter()
        .map(|(key, found)| KvRead { key: key.clone(), version: Some(to_wire(found.version)) })
        .collect()
}

/// A version as it stands in read sets.
pub(super) fn to_wire(version: Version) -> kvrwset::Version {
    kvrwset::Version { block_num: version.block, tx_num: u64::from(version.transaction) }
}
