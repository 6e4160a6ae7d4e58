//! Private data: the values of collections in addition to their public hashes, and the private
//! writes of each transaction, until they expire or are purged. The endorser stores writes for the
//! commit, the committer applies them, and simulations and streams read them.

use gx_fabric_proto::kvrwset::{KvMetadataWriteHash, KvrwSet};
use gx_fabric_proto::rwset::TxPvtReadWriteSet;
use prost::Message;
use redb::{ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use sha2::{Digest, Sha256};

use super::values::{range, state_key, stored, version_of, versioned};
use super::{Metadata, Snapshot, Store, StoreError, TableVisitor, Version, Versioned};

/// Namespace, zero byte, collection, zero byte and key to version and value.
const VALUES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("private values");
/// The same with the hashes of key and value.
const HASHES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("private hashes");
/// The hashed keys that have metadata, to their entries.
const HASHES_METADATA: TableDefinition<'static, &[u8], &[u8]> =
    TableDefinition::new("private metadata");
/// Block, transaction, namespace and collection to the private writes, with unhashed keys.
const WRITES: TableDefinition<'static, (u64, u32, &str, &str), &[u8]> =
    TableDefinition::new("private writes");
/// Hashed key with block and transaction, for each set of private writes that contains it.
const PLACES: TableDefinition<'static, (&[u8], u64, u32), ()> =
    TableDefinition::new("private places");
/// Id of an endorsed transaction to the height at its endorsement and its private writes, which are
/// not part of the envelope.
const TRANSIENT: TableDefinition<'static, &str, (u64, &[u8])> = TableDefinition::new("transient");

/// Number of bytes of a key's hash.
const HASH_BYTES: usize = 32;

/// Calls the visitor for all tables of private data, always in this order.
pub(super) fn visit_tables<T: TableVisitor>(visitor: &mut T) -> Result<(), T::Error> {
    visitor.visit(VALUES)?;
    visitor.visit(HASHES)?;
    visitor.visit(HASHES_METADATA)?;
    visitor.visit(WRITES)?;
    visitor.visit(PLACES)?;
    visitor.visit(TRANSIENT)
}

/// The name of a collection and of its chaincode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CollectionName<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl CollectionName<'_> {
    /// Returns the prefix that takes the place of a namespace in a stored key.
    fn prefix(self) -> String {
        format!("{}\0{}", self.namespace, self.name)
    }

    fn hashed_key(self, key_hash: &[u8]) -> Vec<u8> {
        [self.namespace.as_bytes(), &[0], self.name.as_bytes(), &[0], key_hash].concat()
    }
}

/// Returns the public hash of a key or a value.
pub(crate) fn hash_of(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

impl Store {
    /// Stores the private writes of an endorsed transaction until the transaction is committed.
    pub(crate) fn put_transient(
        &self,
        tx_id: &str,
        height: u64,
        writes: &TxPvtReadWriteSet,
    ) -> Result<(), StoreError> {
        let writes = writes.encode_to_vec();
        self.write(|batch| {
            batch.private()?.transient.insert(tx_id, (height, writes.as_slice()))?;
            Ok(())
        })
    }

    /// Returns the private writes of a block, sorted by transaction, namespace and collection.
    pub(crate) fn private_writes(&self, block: u64) -> Result<Vec<PrivateWrites>, StoreError> {
        let writes = self.database.begin_read()?.open_table(WRITES)?;
        let of_block = (block, 0, "", "")..(block + 1, 0, "", "");
        let rows = writes.range(of_block)?.map(|row| {
            let (key, set) = row?;
            let (_, transaction, namespace, collection) = key.value();
            Ok(PrivateWrites {
                transaction,
                namespace: namespace.to_owned(),
                collection: collection.to_owned(),
                set: set.value().to_vec(),
            })
        });
        rows.collect()
    }
}

/// The writes of one transaction to one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PrivateWrites {
    pub(crate) transaction: u32,
    pub(crate) namespace: String,
    pub(crate) collection: String,
    /// An encoded `KVRWSet`.
    pub(crate) set: Vec<u8>,
}

impl Snapshot {
    /// Returns a private value, or `None` if the key does not exist or the value is not here.
    pub(crate) fn private_value(
        &self,
        collection: CollectionName<'_>,
        key: &str,
    ) -> Result<Option<Versioned>, StoreError> {
        let values = self.transaction.open_table(VALUES)?;
        let found = values.get(state_key(&collection.prefix(), key).as_slice())?;
        Ok(found.map(|found| versioned(found.value())))
    }

    /// Returns the hash of the value, with its public version.
    pub(crate) fn private_hash(
        &self,
        collection: CollectionName<'_>,
        key: &str,
    ) -> Result<Option<Versioned>, StoreError> {
        let hashes = self.transaction.open_table(HASHES)?;
        let found = hashes.get(collection.hashed_key(&hash_of(key)).as_slice())?;
        Ok(found.map(|found| versioned(found.value())))
    }

    pub(crate) fn private_metadata(
        &self,
        collection: CollectionName<'_>,
        key: &str,
    ) -> Result<Metadata, StoreError> {
        let metadata = self.transaction.open_table(HASHES_METADATA)?;
        let found = metadata.get(collection.hashed_key(&hash_of(key)).as_slice())?;
        let Some(found) = found else { return Ok(Metadata::new()) };
        let found = KvMetadataWriteHash::decode(found.value())
            .expect("the store holds the metadata that was put there");
        Ok(found.entries.into_iter().map(|entry| (entry.name, entry.value)).collect())
    }

    /// Returns the keys from `start` up to but not including `end`, in byte order; an empty `end`
    /// means no end.
    pub(crate) fn private_range(
        &self,
        collection: CollectionName<'_>,
        start: &str,
        end: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let prefix = collection.prefix();
        let values = self.transaction.open_table(VALUES)?;
        let found = range(&values, &prefix, start, end)?;
        Ok(found.into_iter().map(|(key, found)| (key, found.value)).collect())
    }
}

/// The tables of private data, which are opened if a block needs them.
pub(crate) struct PrivateTables<'t> {
    values: Table<'t, &'static [u8], &'static [u8]>,
    hashes: Table<'t, &'static [u8], &'static [u8]>,
    metadata: Table<'t, &'static [u8], &'static [u8]>,
    writes: Table<'t, (u64, u32, &'static str, &'static str), &'static [u8]>,
    places: Table<'t, (&'static [u8], u64, u32), ()>,
    transient: Table<'t, &'static str, (u64, &'static [u8])>,
}

impl<'t> PrivateTables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            values: transaction.open_table(VALUES)?,
            hashes: transaction.open_table(HASHES)?,
            metadata: transaction.open_table(HASHES_METADATA)?,
            writes: transaction.open_table(WRITES)?,
            places: transaction.open_table(PLACES)?,
            transient: transaction.open_table(TRANSIENT)?,
        })
    }
}

impl PrivateTables<'_> {
    /// Returns the version of a hashed key, or `None` if the key does not exist.
    pub(crate) fn version(
        &self,
        collection: CollectionName<'_>,
        key_hash: &[u8],
    ) -> Result<Option<Version>, StoreError> {
        let found = self.hashes.get(collection.hashed_key(key_hash).as_slice())?;
        Ok(found.map(|found| version_of(found.value())))
    }

    /// Writes the hash of a value; `None` deletes the key with its metadata.
    pub(crate) fn put_hash(
        &mut self,
        collection: CollectionName<'_>,
        key_hash: &[u8],
        version: Version,
        value_hash: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let key = collection.hashed_key(key_hash);
        match value_hash {
            Some(hash) => {
                self.hashes.insert(key.as_slice(), stored(version, hash).as_slice())?;
            }
            None => {
                self.hashes.remove(key.as_slice())?;
                self.metadata.remove(key.as_slice())?;
            }
        }
        Ok(())
    }

    /// Replaces all metadata of a hashed key and sets its version. Returns the hash of its value,
    /// or `None` if the key does not exist; then no metadata are written.
    pub(crate) fn put_metadata(
        &mut self,
        collection: CollectionName<'_>,
        metadata: &KvMetadataWriteHash,
        version: Version,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let key = collection.hashed_key(&metadata.key_hash);
        let found = self.hashes.get(key.as_slice())?.map(|found| versioned(found.value()).value);
        let Some(hash) = found else { return Ok(None) };
        self.hashes.insert(key.as_slice(), stored(version, &hash).as_slice())?;
        if metadata.entries.is_empty() {
            self.metadata.remove(key.as_slice())?;
        } else {
            self.metadata.insert(key.as_slice(), metadata.encode_to_vec().as_slice())?;
        }
        Ok(Some(hash))
    }

    /// Writes a value; `None` deletes the key.
    pub(crate) fn put_value(
        &mut self,
        collection: CollectionName<'_>,
        key: &str,
        version: Version,
        value: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let key = state_key(&collection.prefix(), key);
        match value {
            Some(value) => self.values.insert(key.as_slice(), stored(version, value).as_slice())?,
            None => self.values.remove(key.as_slice())?,
        };
        Ok(())
    }

    /// Sets the version of a value to that of its hash, if there is a value.
    pub(crate) fn renew_value(
        &mut self,
        collection: CollectionName<'_>,
        key: &str,
        version: Version,
    ) -> Result<(), StoreError> {
        let place = state_key(&collection.prefix(), key);
        let found = self.values.get(place.as_slice())?.map(|found| versioned(found.value()).value);
        match found {
            Some(value) => self.put_value(collection, key, version, Some(&value)),
            None => Ok(()),
        }
    }

    /// Returns the private writes of a transaction that a peer of this process has endorsed, or
    /// `None` if there are none or they were deleted.
    pub(crate) fn transient(&self, tx_id: &str) -> Result<Option<TxPvtReadWriteSet>, StoreError> {
        let found = self.transient.get(tx_id)?;
        Ok(found.map(|found| {
            TxPvtReadWriteSet::decode(found.value().1)
                .expect("the store holds the writes that were put there")
        }))
    }

    pub(crate) fn remove_transient(&mut self, tx_id: &str) -> Result<(), StoreError> {
        self.transient.remove(tx_id)?;
        Ok(())
    }

    /// Deletes the private writes of transactions that were endorsed below this height.
    pub(crate) fn forget_transient_below(&mut self, height: u64) -> Result<(), StoreError> {
        self.transient.retain(|_, (endorsed_at, _)| endorsed_at >= height)?;
        Ok(())
    }

    /// Stores the private writes of a transaction, for streams of blocks with private data.
    pub(crate) fn put_writes(
        &mut self,
        collection: CollectionName<'_>,
        at: Version,
        set: &KvrwSet,
    ) -> Result<(), StoreError> {
        let key = (at.block, at.transaction, collection.namespace, collection.name);
        self.writes.insert(key, set.encode_to_vec().as_slice())?;
        for key in written_keys(set) {
            let key = collection.hashed_key(&hash_of(key));
            self.places.insert((key.as_slice(), at.block, at.transaction), ())?;
        }
        Ok(())
    }

    /// Removes a key from all stored private writes.
    pub(crate) fn purge(
        &mut self,
        collection: CollectionName<'_>,
        key_hash: &[u8],
    ) -> Result<(), StoreError> {
        let hashed = collection.hashed_key(key_hash);
        let of_key = (hashed.as_slice(), 0, 0)..=(hashed.as_slice(), u64::MAX, u32::MAX);
        let mut places = Vec::new();
        for place in self.places.extract_from_if(of_key, |_, ()| true)? {
            let (_, block, transaction) = place?.0.value();
            places.push((block, transaction, collection.namespace, collection.name));
        }
        for place in places {
            let Some(mut set) = self.stored_writes(place)? else { continue };
            set.writes.retain(|write| hash_of(&write.key) != key_hash);
            self.writes.insert(place, set.encode_to_vec().as_slice())?;
        }
        Ok(())
    }

    /// Deletes the private writes of a transaction to a collection, and the values that they set
    /// and that are still current.
    pub(crate) fn expire(
        &mut self,
        collection: CollectionName<'_>,
        at: Version,
        key_hashes: &[u8],
    ) -> Result<(), StoreError> {
        for key_hash in key_hashes.chunks_exact(HASH_BYTES) {
            if self.version(collection, key_hash)? == Some(at) {
                self.put_hash(collection, key_hash, at, None)?;
            }
        }
        let place = (at.block, at.transaction, collection.namespace, collection.name);
        let Some(set) = self.stored_writes(place)? else { return Ok(()) };
        self.writes.remove(place)?;
        for key in written_keys(&set) {
            let hashed = collection.hashed_key(&hash_of(key));
            self.places.remove((hashed.as_slice(), at.block, at.transaction))?;
            let key = state_key(&collection.prefix(), key);
            let found = self.values.get(key.as_slice())?.map(|it| version_of(it.value()));
            if found == Some(at) {
                self.values.remove(key.as_slice())?;
            }
        }
        Ok(())
    }

    /// Returns the private writes of a transaction to a collection, or `None` if they are not
    /// stored.
    fn stored_writes(&self, place: (u64, u32, &str, &str)) -> Result<Option<KvrwSet>, StoreError> {
        let found = self.writes.get(place)?;
        Ok(found.map(|set| {
            KvrwSet::decode(set.value()).expect("the store holds the writes that were put there")
        }))
    }
}

/// Returns the keys whose value or metadata a set writes.
fn written_keys(set: &KvrwSet) -> impl Iterator<Item = &str> {
    let metadata = set.metadata_writes.iter().map(|write| write.key.as_str());
    set.writes.iter().map(|write| write.key.as_str()).chain(metadata)
}
