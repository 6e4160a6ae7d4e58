//! Reads and writes of private data in a simulation. The transaction contains only their hashes.
//! Called for requests of chaincode services that name a collection.

use std::collections::BTreeMap;

use gx_fabric_proto::kvrwset::{
    HashedRwSet, KvMetadataWrite, KvMetadataWriteHash, KvReadHash, KvWrite, KvWriteHash, KvrwSet,
};
use gx_fabric_proto::rwset::{
    CollectionHashedReadWriteSet, CollectionPvtReadWriteSet, NsPvtReadWriteSet, TxPvtReadWriteSet,
    tx_read_write_set::DataModel,
};
use prost::Message;

use super::{Simulation, SimulationError, to_entries};
use crate::ledger::state::{CollectionName, Metadata, Version, hash_of, to_wire};

/// The reads and writes of a transaction in one collection.
#[derive(Default)]
pub(super) struct PrivateKeys {
    reads: BTreeMap<String, Option<Version>>,
    writes: BTreeMap<String, PrivateWrite>,
    metadata_writes: BTreeMap<String, Metadata>,
    /// Whether a value was read, which only peers that hold the collection can do.
    pub(super) is_read: bool,
}

enum PrivateWrite {
    Put(Vec<u8>),
    Delete,
    Purge,
}

/// The use of a collection by a transaction, for the gateway's choice of peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CollectionUse {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) is_read: bool,
    pub(crate) is_written: bool,
}

impl Simulation {
    /// Returns a value, or `None` if the key does not exist. Fails if the key exists and this peer
    /// lacks the value, because it does not hold the collection or has missed the write.
    pub(crate) fn private_get(
        &mut self,
        collection: CollectionName<'_>,
        key: &str,
        is_held: bool,
    ) -> Result<Option<Vec<u8>>, SimulationError> {
        let public = self.snapshot.private_hash(collection, key)?.map(|found| found.version);
        let found = if is_held { self.snapshot.private_value(collection, key)? } else { None };
        let version = found.as_ref().map(|found| found.version);
        if public != version {
            return Err(SimulationError::PrivateDataMissing(shown(public), shown(version)));
        }
        let keys = self.private_keys(collection);
        keys.reads.insert(key.to_owned(), version);
        keys.is_read = true;
        Ok(found.map(|found| found.value))
    }

    /// Returns the hash of a value, which every peer has, or `None` if the key does not exist.
    pub(crate) fn private_hash(
        &mut self,
        collection: CollectionName<'_>,
        key: &str,
    ) -> Result<Option<Vec<u8>>, SimulationError> {
        let found = self.snapshot.private_hash(collection, key)?;
        let version = found.as_ref().map(|found| found.version);
        self.private_keys(collection).reads.insert(key.to_owned(), version);
        Ok(found.map(|found| found.value))
    }

    /// Returns the metadata of a key, which every peer has.
    pub(crate) fn private_metadata(
        &mut self,
        collection: CollectionName<'_>,
        key: &str,
    ) -> Result<Metadata, SimulationError> {
        self.private_hash(collection, key)?;
        Ok(self.snapshot.private_metadata(collection, key)?)
    }

    /// Returns the keys and values of a range. The commit cannot check that they are still
    /// complete, so only a transaction without writes may read them.
    pub(crate) fn private_range(
        &mut self,
        collection: CollectionName<'_>,
        start: &str,
        end: &str,
        is_held: bool,
    ) -> Result<Vec<(String, Vec<u8>)>, SimulationError> {
        if self.has_written {
            return Err(SimulationError::PrivateQueryAfterWrite(self.tx_id.clone()));
        }
        self.has_queried_private = true;
        if !is_held {
            return Ok(Vec::new());
        }
        Ok(self.snapshot.private_range(collection, start, end)?)
    }

    /// Writes a value. An empty value deletes the key, as on a peer.
    pub(crate) fn private_put(
        &mut self,
        collection: CollectionName<'_>,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), SimulationError> {
        let write = if value.is_empty() { PrivateWrite::Delete } else { PrivateWrite::Put(value) };
        self.private_write(collection, key, write)
    }

    /// Deletes a key, whether it exists or not.
    pub(crate) fn private_delete(
        &mut self,
        collection: CollectionName<'_>,
        key: &str,
    ) -> Result<(), SimulationError> {
        self.private_write(collection, key, PrivateWrite::Delete)
    }

    /// Deletes a key with all values that were ever written to it.
    pub(crate) fn private_purge(
        &mut self,
        collection: CollectionName<'_>,
        key: &str,
    ) -> Result<(), SimulationError> {
        self.private_write(collection, key, PrivateWrite::Purge)
    }

    /// Replaces all metadata of a key.
    pub(crate) fn private_put_metadata(
        &mut self,
        collection: CollectionName<'_>,
        key: &str,
        metadata: Metadata,
    ) -> Result<(), SimulationError> {
        self.check_writable()?;
        self.private_keys(collection).metadata_writes.insert(key.to_owned(), metadata);
        Ok(())
    }

    fn private_write(
        &mut self,
        collection: CollectionName<'_>,
        key: &str,
        write: PrivateWrite,
    ) -> Result<(), SimulationError> {
        self.check_writable()?;
        self.private_keys(collection).writes.insert(key.to_owned(), write);
        Ok(())
    }

    fn private_keys(&mut self, collection: CollectionName<'_>) -> &mut PrivateKeys {
        let collections = &mut self.namespace(collection.namespace).collections;
        collections.entry(collection.name.to_owned()).or_default()
    }
}

impl PrivateKeys {
    pub(super) fn is_written(&self) -> bool {
        !self.writes.is_empty() || !self.metadata_writes.is_empty()
    }

    /// Returns the part for the transaction and the part that is stored separately.
    fn into_sets(
        self,
        name: String,
    ) -> (CollectionHashedReadWriteSet, Option<CollectionPvtReadWriteSet>) {
        let private = self.is_written().then(|| self.private_set().encode_to_vec());
        let hashed = CollectionHashedReadWriteSet {
            collection_name: name.clone(),
            pvt_rwset_hash: private.as_ref().map(hash_of).unwrap_or_default(),
            hashed_rwset: self.into_hashed_set().encode_to_vec(),
        };
        let private =
            private.map(|rwset| CollectionPvtReadWriteSet { collection_name: name, rwset });
        (hashed, private)
    }

    fn private_set(&self) -> KvrwSet {
        let writes = self.writes.iter().map(|(key, write)| {
            let value = match write {
                PrivateWrite::Put(value) => Some(value.clone()),
                PrivateWrite::Delete | PrivateWrite::Purge => None,
            };
            KvWrite {
                key: key.clone(),
                is_delete: value.is_none(),
                value: value.unwrap_or_default(),
            }
        });
        // The key is enough, because metadata are public under the key's hash.
        let metadata_writes = self
            .metadata_writes
            .keys()
            .map(|key| KvMetadataWrite { key: key.clone(), entries: Vec::new() });
        KvrwSet {
            writes: writes.collect(),
            metadata_writes: metadata_writes.collect(),
            ..KvrwSet::default()
        }
    }

    fn into_hashed_set(self) -> HashedRwSet {
        let reads = self.reads.into_iter().map(|(key, version)| KvReadHash {
            key_hash: hash_of(key),
            version: version.map(to_wire),
        });
        let writes = self.writes.into_iter().map(|(key, write)| KvWriteHash {
            key_hash: hash_of(key),
            is_delete: !matches!(write, PrivateWrite::Put(_)),
            is_purge: matches!(write, PrivateWrite::Purge),
            value_hash: match write {
                PrivateWrite::Put(value) => hash_of(value),
                PrivateWrite::Delete | PrivateWrite::Purge => Vec::new(),
            },
        });
        let metadata = self.metadata_writes.into_iter().map(|(key, metadata)| {
            KvMetadataWriteHash { key_hash: hash_of(key), entries: to_entries(metadata) }
        });
        HashedRwSet {
            hashed_reads: reads.collect(),
            hashed_writes: writes.collect(),
            metadata_writes: metadata.collect(),
        }
    }
}

/// The private writes of all namespaces.
pub(super) struct PrivateResults(TxPvtReadWriteSet);

impl PrivateResults {
    pub(super) fn new() -> Self {
        Self(TxPvtReadWriteSet { data_model: DataModel::Kv.into(), ns_pvt_rwset: Vec::new() })
    }

    /// Adds the private writes of a namespace and returns their hashes.
    pub(super) fn take(
        &mut self,
        namespace: &str,
        collections: BTreeMap<String, PrivateKeys>,
    ) -> Vec<CollectionHashedReadWriteSet> {
        let mut hashed = Vec::with_capacity(collections.len());
        let mut private = Vec::new();
        for (name, keys) in collections {
            let (hashes, writes) = keys.into_sets(name);
            hashed.push(hashes);
            private.extend(writes);
        }
        if !private.is_empty() {
            let namespace = namespace.to_owned();
            let set = NsPvtReadWriteSet { namespace, collection_pvt_rwset: private };
            self.0.ns_pvt_rwset.push(set);
        }
        hashed
    }

    /// Returns the private writes, or `None` if there are none.
    pub(super) fn finish(self) -> Option<TxPvtReadWriteSet> {
        (!self.0.ns_pvt_rwset.is_empty()).then_some(self.0)
    }
}

/// Returns a version in the form of a real peer's message.
fn shown(version: Option<Version>) -> String {
    version.map_or_else(
        || "<nil>".to_owned(),
        |version| format!("{{BlockNum: {}, TxNum: {}}}", version.block, version.transaction),
    )
}
