//! Simulates a transaction: reads come from a snapshot and are recorded; writes are collected by
//! namespace. A read does not see the transaction's own writes.
//!
//! The endorser makes one [`Simulation`] for each proposal; its chaincodes read and write through
//! it. An error is the peer's, and the proposal is not endorsed unless the chaincode catches it.

mod private;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gx_fabric_proto::kvrwset::{
    KvMetadataEntry, KvMetadataWrite, KvWrite, KvrwSet, RangeQueryInfo,
};
use gx_fabric_proto::rwset::{
    NsReadWriteSet, TxPvtReadWriteSet, TxReadWriteSet, tx_read_write_set::DataModel,
};
use prost::Message;

use self::private::{PrivateKeys, PrivateResults};
use self::scan::Scan;
use super::history::History;
use super::state::{BadPolicy, Metadata, Snapshot, StoreError, Version, key_policy, to_read};
use crate::policy::SignaturePolicy;

pub(crate) use self::private::CollectionUse;

/// Why a simulation fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimulationError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A real peer's message, including its spelling.
    #[error(
        "txid [{0}]: unsuppored transaction. Paginated queries are supported only in a read-only \
         transaction"
    )]
    PageAfterWrite(String),
    /// A real peer's message.
    #[error(
        "txid [{0}]: unsuppored transaction. Transaction has already performed a paginated query. \
         Writes are not allowed"
    )]
    WriteAfterPage(String),
    /// A real peer's message.
    #[error(
        "txid [{0}]: unsuppored transaction. Queries on pvt data is supported only in a read-only \
         transaction"
    )]
    PrivateQueryAfterWrite(String),
    /// A real peer's message.
    #[error(
        "txid [{0}]: unsuppored transaction. Transaction has already performed queries on pvt \
         data. Writes are not allowed"
    )]
    WriteAfterPrivateQuery(String),
    /// The peer has no private data or another version than the public hash.
    #[error(
        "private data matching public hash version is not available. Public hash version = {0}, \
         Private data version = {1}"
    )]
    PrivateDataMissing(String, String),
    /// A key's policy cannot be read.
    #[error(
        "error unmarshalling SignaturePolicyEnvelope: proto: cannot parse invalid wire-format data"
    )]
    BadPolicy,
}

/// The id of an open range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScanId(usize);

/// The state of all namespaces, as one transaction sees it.
pub(crate) struct Simulation {
    pub(super) tx_id: String,
    pub(super) snapshot: Arc<Snapshot>,
    namespaces: BTreeMap<String, Namespace>,
    /// In the order of opening, which is the order in the read set.
    scans: Vec<Scan>,
    pub(super) has_written: bool,
    has_paged: bool,
    pub(super) has_queried_private: bool,
}

/// The reads and writes of the transaction in one namespace.
#[derive(Default)]
pub(super) struct Namespace {
    reads: BTreeMap<String, Option<Version>>,
    /// `None` deletes the key.
    writes: BTreeMap<String, Option<Vec<u8>>>,
    metadata_writes: BTreeMap<String, Metadata>,
    collections: BTreeMap<String, PrivateKeys>,
}

/// The results of a simulation.
#[derive(Default)]
pub(crate) struct Results {
    /// An encoded `TxReadWriteSet`, which becomes part of the transaction.
    pub(crate) public: Vec<u8>,
    /// The private writes, which are stored separately; `None` if there are none.
    pub(crate) private: Option<TxPvtReadWriteSet>,
    /// The policies that the endorsements must satisfy.
    pub(crate) needs: Needs,
}

/// The policies that a transaction's writes require, for the gateway's choice of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The chaincodes whose own policies apply.
    pub(crate) chaincodes: Vec<String>,
    pub(crate) keys: Vec<SignaturePolicy>,
    /// The collections that are used. Their policies are in the chaincodes' definitions.
    pub(crate) collections: Vec<CollectionUse>,
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

    /// Returns a value as it was when the simulation began, or `None` if the key does not exist.
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

    /// Returns a key's metadata. It is recorded as a read of the key.
    pub(crate) fn metadata(
        &mut self,
        namespace: &str,
        key: &str,
    ) -> Result<Metadata, SimulationError> {
        self.get(namespace, key)?;
        Ok(self.snapshot.metadata(namespace, key)?)
    }

    /// Writes a value. An empty value deletes the key, as on a peer.
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

    /// Replaces all metadata of a key.
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

    /// Opens the range from `start` up to but not including `end`; an empty `end` means no end. The
    /// commit checks that the keys which were read have not changed.
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

    /// Opens one page of a range. Only a transaction without writes may do that.
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

    /// Returns the next key and value of a range, or `None` at its end.
    pub(crate) fn next(
        &mut self,
        scan: ScanId,
    ) -> Result<Option<(String, Vec<u8>)>, SimulationError> {
        Ok(self.scans[scan.0].next()?)
    }

    /// Returns the start of the next page; empty if there is none.
    pub(crate) fn bookmark(&mut self, scan: ScanId) -> Result<String, SimulationError> {
        Ok(self.scans[scan.0].bookmark()?)
    }

    /// Returns the writes of a key, newest first.
    pub(crate) fn history(&self, namespace: &str, key: &str) -> Result<History, SimulationError> {
        Ok(History::new(Arc::clone(&self.snapshot), namespace, key)?)
    }

    /// Returns everything that was read and written.
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

    /// Returns the policies that apply. A chaincode's own policy applies if it writes a key that
    /// has none, or if it writes nothing.
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
        // Two look-ups in the worst case, so that the usual case allocates nothing.
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

/// Returns whether two range queries are the same. The commit checks only the first of them.
fn is_same_range(one: &RangeQueryInfo, other: &RangeQueryInfo) -> bool {
    one.start_key == other.start_key
        && one.end_key == other.end_key
        && one.itr_exhausted == other.itr_exhausted
}

pub(super) fn to_entries(metadata: Metadata) -> Vec<KvMetadataEntry> {
    metadata.into_iter().map(|(name, value)| KvMetadataEntry { name, value }).collect()
}
