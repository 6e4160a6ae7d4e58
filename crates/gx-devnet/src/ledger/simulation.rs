//! A transaction being simulated: reads come from a snapshot and are recorded, writes are
//! collected, per namespace. A read does not see the transaction's own writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gx_fabric_proto::kvrwset::{
    self, KvMetadataEntry, KvMetadataWrite, KvRead, KvWrite, KvrwSet, RangeQueryInfo,
};
use gx_fabric_proto::rwset::{
    NsReadWriteSet, TxPvtReadWriteSet, TxReadWriteSet, tx_read_write_set::DataModel,
};
use prost::Message;

use super::endorsement::{BadPolicy, Needs, key_policy};
use super::history::History;
use super::scan::Scan;
use super::simulation_private::{CollectionUse, PrivateKeys, PrivateResults};
use super::store::{Snapshot, StoreError, Version};

/// Named bytes that stand beside a key's value.
pub(crate) type Metadata = BTreeMap<String, Vec<u8>>;

/// Why a transaction may not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimulationError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// In a peer's own words, spelling included.
    #[error(
        "txid [{0}]: unsuppored transaction. Paginated queries are supported only in a read-only \
         transaction"
    )]
    PageAfterWrite(String),
    /// The same.
    #[error(
        "txid [{0}]: unsuppored transaction. Transaction has already performed a paginated query. \
         Writes are not allowed"
    )]
    WriteAfterPage(String),
    /// The same.
    #[error(
        "txid [{0}]: unsuppored transaction. Queries on pvt data is supported only in a read-only \
         transaction"
    )]
    PrivateQueryAfterWrite(String),
    /// The same.
    #[error(
        "txid [{0}]: unsuppored transaction. Transaction has already performed queries on pvt \
         data. Writes are not allowed"
    )]
    WriteAfterPrivateQuery(String),
    /// The peer holds another version of private data than everybody knows of, or none.
    #[error(
        "private data matching public hash version is not available. Public hash version = {0}, \
         Private data version = {1}"
    )]
    PrivateDataMissing(String, String),
    /// A key's policy is no policy.
    #[error(
        "error unmarshalling SignaturePolicyEnvelope: proto: cannot parse invalid wire-format data"
    )]
    BadPolicy,
}

/// A range that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScanId(usize);

/// All namespaces' state as one transaction sees it.
pub(crate) struct Simulation {
    pub(super) tx_id: String,
    pub(super) snapshot: Arc<Snapshot>,
    namespaces: BTreeMap<String, Namespace>,
    /// In the order in which they were opened, which is the order in the read set.
    scans: Vec<Scan>,
    pub(super) has_written: bool,
    has_paged: bool,
    pub(super) has_queried_private: bool,
}

/// What the transaction did in one namespace.
#[derive(Default)]
pub(super) struct Namespace {
    reads: BTreeMap<String, Option<Version>>,
    /// None deletes.
    writes: BTreeMap<String, Option<Vec<u8>>>,
    metadata_writes: BTreeMap<String, Metadata>,
    pub(super) collections: BTreeMap<String, PrivateKeys>,
}

/// What came of a simulation.
#[derive(Default)]
pub(crate) struct Results {
    /// An encoded `TxReadWriteSet`: what goes into the transaction.
    pub(crate) public: Vec<u8>,
    /// Private writes, which go another way; none where there are none.
    pub(crate) private: Option<TxPvtReadWriteSet>,
    /// Whose endorsements it needs.
    pub(crate) needs: Needs,
}

impl Simulation {
    pub(crate) fn new(snapshot: Snapshot, tx_id: &str) -> Self {
        Self {
            tx_id: tx_id.to_owned(),
            snapshot: Arc::new(snapshot),
            namespaces: BTreeMap::new(),
            scans: Vec::new(),
            has_written: false,
            has_paged: false,
            has_queried_private: false,
        }
    }

    /// One value, as it was committed when the simulation began.
    pub(crate) fn get(
        &mut self,
        namespace: &str,
        key: &str,
    ) -> Result<Option<Vec<u8>>, SimulationError> {
        let found = self.snapshot.get(namespace, key)?;
        let version = found.as_ref().map(|found| found.version);
        self.namespace(namespace).reads.insert(key.to_owned(), version);
        Ok(found.map(|found| found.value))
    }

    /// A key's metadata. Counts as a read of the key.
    pub(crate) fn metadata(
        &mut self,
        namespace: &str,
        key: &str,
    ) -> Result<Metadata, SimulationError> {
        self.get(namespace, key)?;
        Ok(self.snapshot.metadata(namespace, key)?)
    }

    /// Replaces a value. An empty one deletes the key, as it does on a peer.
    pub(crate) fn put(
        &mut self,
        namespace: &str,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), SimulationError> {
        self.write(namespace, key, Some(value).filter(|value| !value.is_empty()))
    }

    /// Deletes a key, whether it exists or not.
    pub(crate) fn delete(&mut self, namespace: &str, key: &str) -> Result<(), SimulationError> {
        self.write(namespace, key, None)
    }

    fn write(
        &mut self,
        namespace: &str,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), SimulationError> {
        self.check_writable()?;
        self.namespace(namespace).writes.insert(key.to_owned(), value);
        Ok(())
    }

    /// Replaces all of a key's metadata.
    pub(crate) fn put_metadata(
        &mut self,
        namespace: &str,
        key: &str,
        metadata: Metadata,
    ) -> Result<(), SimulationError> {
        self.check_writable()?;
        self.namespace(namespace).metadata_writes.insert(key.to_owned(), metadata);
        Ok(())
    }

    /// Begins to read the keys from `start` on and before `end`; an empty `end` is no end.
    /// What is read is checked again at commit.
    pub(crate) fn open_range(
        &mut self,
        namespace: &str,
        start: &str,
        end: &str,
    ) -> Result<ScanId, SimulationError> {
        let rows = self.snapshot.rows(namespace, start, end)?;
        self.scans.push(Scan::new(namespace, start, end, rows));
        Ok(ScanId(self.scans.len() - 1))
    }

    /// The same for one page of a range, which only a transaction without writes may read.
    pub(crate) fn open_page(
        &mut self,
        namespace: &str,
        start: &str,
        end: &str,
    ) -> Result<ScanId, SimulationError> {
        if self.has_written {
            return Err(SimulationError::PageAfterWrite(self.tx_id.clone()));
        }
        self.has_paged = true;
        self.open_range(namespace, start, end)
    }

    /// The next key and value of a range; none at its end.
    pub(crate) fn next(
        &mut self,
        scan: ScanId,
    ) -> Result<Option<(String, Vec<u8>)>, SimulationError> {
        Ok(self.scans[scan.0].next()?)
    }

    /// Where the next page of a range starts; empty where there is none.
    pub(crate) fn bookmark(&mut self, scan: ScanId) -> Result<String, SimulationError> {
        Ok(self.scans[scan.0].bookmark()?)
    }

    /// A key's writes so far, the newest first.
    pub(crate) fn history(&self, namespace: &str, key: &str) -> Result<History, SimulationError> {
        Ok(History::new(Arc::clone(&self.snapshot), namespace, key)?)
    }

    /// Everything read and written.
    pub(crate) fn finish(mut self) -> Result<Results, SimulationError> {
        let mut ranges: BTreeMap<String, Vec<RangeQueryInfo>> = BTreeMap::new();
        for scan in std::mem::take(&mut self.scans) {
            let (namespace, range) = scan.finish();
            self.namespace(&namespace);
            let ranges = ranges.entry(namespace).or_default();
            if !ranges.iter().any(|seen| is_same_range(seen, &range)) {
                ranges.push(range);
            }
        }
        let needs = self.needs()?;
        let mut private = PrivateResults::new();
        let ns_rwset = self.namespaces.into_iter().map(|(namespace, mut keys)| {
            let ranges = ranges.remove(&namespace).unwrap_or_default();
            let collections = std::mem::take(&mut keys.collections);
            NsReadWriteSet {
                rwset: keys.into_set(ranges).encode_to_vec(),
                collection_hashed_rwset: private.take(&namespace, collections),
                namespace,
            }
        });
        let public =
            TxReadWriteSet { data_model: DataModel::Kv.into(), ns_rwset: ns_rwset.collect() };
        Ok(Results { public: public.encode_to_vec(), private: private.finish(), needs })
    }

    /// A chaincode's own policy counts where a key without one is written, or where nothing is.
    fn needs(&self) -> Result<Needs, SimulationError> {
        let mut needs = Needs::default();
        for (namespace, keys) in &self.namespaces {
            let written: BTreeSet<_> =
                keys.writes.keys().chain(keys.metadata_writes.keys()).collect();
            for (name, keys) in &keys.collections {
                needs.collections.push(CollectionUse {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    is_read: keys.is_read,
                    is_written: keys.is_written(),
                });
            }
            let has_private_writes = keys.collections.values().any(PrivateKeys::is_written);
            let mut is_own = written.is_empty() && !has_private_writes;
            for key in written {
                match key_policy(&self.snapshot.metadata(namespace, key)?) {
                    Some(Ok(policy)) => needs.keys.push(policy),
                    Some(Err(BadPolicy)) => return Err(SimulationError::BadPolicy),
                    None => is_own = true,
                }
            }
            if is_own {
                needs.chaincodes.push(namespace.clone());
            }
        }
        Ok(needs)
    }

    pub(super) fn check_writable(&mut self) -> Result<(), SimulationError> {
        if self.has_queried_private {
            return Err(SimulationError::WriteAfterPrivateQuery(self.tx_id.clone()));
        }
        if self.has_paged {
            return Err(SimulationError::WriteAfterPage(self.tx_id.clone()));
        }
        self.has_written = true;
        Ok(())
    }

    pub(super) fn namespace(&mut self, name: &str) -> &mut Namespace {
        // Looked up twice at worst, so that the common case allocates nothing.
        if !self.namespaces.contains_key(name) {
            self.namespaces.insert(name.to_owned(), Namespace::default());
        }
        self.namespaces.get_mut(name).expect("it is there or was just made")
    }
}

impl Namespace {
    fn into_set(self, range_queries_info: Vec<RangeQueryInfo>) -> KvrwSet {
        let reads = self.reads.into_iter().map(|(key, version)| to_read(key, version));
        let writes = self.writes.into_iter().map(|(key, value)| KvWrite {
            key,
            is_delete: value.is_none(),
            value: value.unwrap_or_default(),
        });
        let metadata_writes = self
            .metadata_writes
            .into_iter()
            .map(|(key, metadata)| KvMetadataWrite { key, entries: to_entries(metadata) });
        KvrwSet {
            reads: reads.collect(),
            range_queries_info,
            writes: writes.collect(),
            metadata_writes: metadata_writes.collect(),
        }
    }
}

/// A range that is read twice is checked once, as the first reading saw it.
fn is_same_range(one: &RangeQueryInfo, other: &RangeQueryInfo) -> bool {
    one.start_key == other.start_key
        && one.end_key == other.end_key
        && one.itr_exhausted == other.itr_exhausted
}

pub(super) fn to_entries(metadata: Metadata) -> Vec<KvMetadataEntry> {
    metadata.into_iter().map(|(name, value)| KvMetadataEntry { name, value }).collect()
}

/// A read as it is recorded.
pub(super) fn to_read(key: String, version: Option<Version>) -> KvRead {
    KvRead { key, version: version.map(to_wire) }
}

/// A version as it stands in read sets.
pub(super) fn to_wire(version: Version) -> kvrwset::Version {
    kvrwset::Version { block_num: version.block, tx_num: u64::from(version.transaction) }
}
