//! Blocks, world state and transaction index in one file: what belongs together commits
//! together.

use std::path::Path;

use gx_fabric_proto::kvrwset::KvMetadataWrite;
use prost::Message;
use redb::{
    Key, OwnedRange, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition, Value,
};

use super::simulation::Metadata;
use super::store_file::open_database;
use crate::DevnetError;

/// Block number to encoded block.
pub(super) const BLOCKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("blocks");
/// Namespace, zero byte and key to version and value.
const STATE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("state");
/// The keys that have metadata, with their entries: few have, and only they pay for it.
const METADATA: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("metadata");
/// Transaction id to the place of its first appearance and its validation code.
const TRANSACTIONS: TableDefinition<'static, &str, (u64, u32, u8)> =
    TableDefinition::new("transactions");

const VERSION_BYTES: usize = 12;

/// Something that is done to each table of a ledger in the same way.
pub(super) trait TableVisitor {
    type Error;

    fn visit<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), Self::Error>;
}

/// Shows the visitor every table that makes up the ledger, always in this order.
pub(super) fn visit_tables<T: TableVisitor>(visitor: &mut T) -> Result<(), T::Error> {
    visitor.visit(BLOCKS)?;
    visitor.visit(STATE)?;
    visitor.visit(METADATA)?;
    visitor.visit(TRANSACTIONS)
}

/// The disk or the store's file failed.
#[derive(Debug, thiserror::Error)]
#[error("the ledger's store failed: {0}")]
pub(crate) struct StoreError(#[from] redb::Error);

macro_rules! from_store_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self(error.into())
            }
        }
    )*};
}
from_store_errors!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SavepointError,
    redb::SetDurabilityError
);

/// The transaction that wrote a key last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) block: u64,
    pub(crate) transaction: u32,
}

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) version: Version,
    pub(crate) value: Vec<u8>,
}

/// Where a transaction stands, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) block: u64,
    pub(crate) transaction: u32,
    pub(crate) code: u8,
}

/// The durable ledger.
pub(crate) struct Store {
    pub(super) database: redb::Database,
}

impl Store {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path, fsync: bool) -> Result<Self, DevnetError> {
        let store = Self { database: open_database(path, fsync)? };
        store.write(|_| Ok(())).map_err(|error| DevnetError::Store {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(store)
    }

    /// The newest block's number and bytes; none before genesis.
    pub(crate) fn newest_block(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let blocks = self.database.begin_read()?.open_table(BLOCKS)?;
        Ok(blocks.last()?.map(|(number, block)| (number.value(), block.value().to_vec())))
    }

    /// One block's bytes.
    pub(crate) fn block(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let blocks = self.database.begin_read()?.open_table(BLOCKS)?;
        Ok(blocks.get(number)?.map(|block| block.value().to_vec()))
    }

    /// Where a transaction first appeared.
    pub(crate) fn transaction(&self, id: &str) -> Result<Option<Location>, StoreError> {
        let transactions = self.database.begin_read()?.open_table(TRANSACTIONS)?;
        Ok(transactions.get(id)?.map(|entry| location(entry.value())))
    }

    /// The committed state of this moment; later commits do not change it.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let transaction = self.database.begin_read()?;
        Ok(Snapshot {
            state: transaction.open_table(STATE)?,
            metadata: transaction.open_table(METADATA)?,
        })
    }

    /// Runs `change` and makes all of it durable at once, or none of it.
    pub(crate) fn write<R>(
        &self,
        change: impl FnOnce(&mut Batch<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let mut transaction = self.database.begin_write()?;
        // Saves the free-space map with each commit, so that the start after a crash need
        // not walk the whole file.
        transaction.set_quick_repair(true);
        let result = {
            let mut batch = Batch {
                blocks: transaction.open_table(BLOCKS)?,
                state: transaction.open_table(STATE)?,
                metadata: transaction.open_table(METADATA)?,
                transactions: transaction.open_table(TRANSACTIONS)?,
            };
            change(&mut batch)?
        };
        transaction.commit()?;
        Ok(result)
    }
}

/// A frozen view of the state.
pub(crate) struct Snapshot {
    state: ReadOnlyTable<&'static [u8], &'static [u8]>,
    metadata: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Snapshot {
    pub(crate) fn get(&self, namespace: &str, key: &str) -> Result<Option<Versioned>, StoreError> {
        get(&self.state, namespace, key)
    }

    /// The entries of a key's metadata.
    pub(crate) fn metadata(&self, namespace: &str, key: &str) -> Result<Metadata, StoreError> {
        metadata(&self.metadata, namespace, key)
    }

    /// The keys from `start` on and before `end`, in byte order; an empty `end` is no end.
    pub(crate) fn rows(&self, namespace: &str, start: &str, end: &str) -> Result<Rows, StoreError> {
        let (first, past) = bounds(namespace, start, end);
        let range = self.state.range_owned(first.as_slice()..past.as_slice())?;
        Ok(Rows { range, key_at: namespace.len() + 1 })
    }
}

/// Keys and values of a range, read as they are asked for.
pub(crate) struct Rows {
    range: OwnedRange<&'static [u8], &'static [u8]>,
    key_at: usize,
}

impl Iterator for Rows {
    type Item = Result<(String, Versioned), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.range.next()?;
        Some(
            entry.map_err(StoreError::from).map(|(key, stored)| {
                (key_text(key.value(), self.key_at), versioned(stored.value()))
            }),
        )
    }
}

/// Changes that are under way; reads see them.
pub(crate) struct Batch<'t> {
    blocks: Table<'t, u64, &'static [u8]>,
    state: Table<'t, &'static [u8], &'static [u8]>,
    metadata: Table<'t, &'static [u8], &'static [u8]>,
    transactions: Table<'t, &'static str, (u64, u32, u8)>,
}

impl Batch<'_> {
    pub(crate) fn get(&self, namespace: &str, key: &str) -> Result<Option<Versioned>, StoreError> {
        get(&self.state, namespace, key)
    }

    pub(crate) fn range(
        &self,
        namespace: &str,
        start: &str,
        end: &str,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        range(&self.state, namespace, start, end)
    }

    pub(crate) fn put(
        &mut self,
        namespace: &str,
        key: &str,
        version: Version,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let mut stored = Vec::with_capacity(VERSION_BYTES + value.len());
        stored.extend(version.block.to_be_bytes());
        stored.extend(version.transaction.to_be_bytes());
        stored.extend_from_slice(value);
        self.state.insert(state_key(namespace, key).as_slice(), stored.as_slice())?;
        Ok(())
    }

    pub(crate) fn delete(&mut self, namespace: &str, key: &str) -> Result<(), StoreError> {
        let key = state_key(namespace, key);
        self.state.remove(key.as_slice())?;
        self.metadata.remove(key.as_slice())?;
        Ok(())
    }

    /// Whether any key has metadata: most ledgers have none, and need not look for it.
    pub(crate) fn has_metadata(&self) -> Result<bool, StoreError> {
        Ok(!self.metadata.is_empty()?)
    }

    pub(crate) fn metadata(&self, namespace: &str, key: &str) -> Result<Metadata, StoreError> {
        metadata(&self.metadata, namespace, key)
    }

    /// Replaces all of a key's metadata; no entries remove it.
    pub(crate) fn put_metadata(
        &mut self,
        namespace: &str,
        metadata: &KvMetadataWrite,
    ) -> Result<(), StoreError> {
        let key = state_key(namespace, &metadata.key);
        if metadata.entries.is_empty() {
            self.metadata.remove(key.as_slice())?;
        } else {
            self.metadata.insert(key.as_slice(), metadata.encode_to_vec().as_slice())?;
        }
        Ok(())
    }

    pub(crate) fn put_block(&mut self, number: u64, block: &[u8]) -> Result<(), StoreError> {
        self.blocks.insert(number, block)?;
        Ok(())
    }

    pub(crate) fn has_transaction(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.transactions.get(id)?.is_some())
    }

    pub(crate) fn put_transaction(&mut self, id: &str, at: Location) -> Result<(), StoreError> {
        self.transactions.insert(id, (at.block, at.transaction, at.code))?;
        Ok(())
    }
}

fn location((block, transaction, code): (u64, u32, u8)) -> Location {
    Location { block, transaction, code }
}

fn state_key(namespace: &str, key: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(namespace.len() + 1 + key.len());
    bytes.extend_from_slice(namespace.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

fn versioned(stored: &[u8]) -> Versioned {
    let (version, value) = stored.split_at(VERSION_BYTES);
    let (block, transaction) = version.split_at(8);
    Versioned {
        version: Version {
            block: u64::from_be_bytes(block.try_into().expect("split at 8 bytes")),
            transaction: u32::from_be_bytes(transaction.try_into().expect("12 less 8 bytes")),
        },
        value: value.to_vec(),
    }
}

fn get(
    state: &impl ReadableTable<&'static [u8], &'static [u8]>,
    namespace: &str,
    key: &str,
) -> Result<Option<Versioned>, StoreError> {
    let stored = state.get(state_key(namespace, key).as_slice())?;
    Ok(stored.map(|stored| versioned(stored.value())))
}

fn metadata(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    namespace: &str,
    key: &str,
) -> Result<Metadata, StoreError> {
    let stored = table.get(state_key(namespace, key).as_slice())?;
    let Some(stored) = stored else { return Ok(Metadata::new()) };
    let stored = KvMetadataWrite::decode(stored.value())
        .expect("the store holds the metadata that was put there");
    Ok(stored.entries.into_iter().map(|entry| (entry.name, entry.value)).collect())
}

fn range(
    state: &impl ReadableTable<&'static [u8], &'static [u8]>,
    namespace: &str,
    start: &str,
    end: &str,
) -> Result<Vec<(String, Versioned)>, StoreError> {
    let (first, past) = bounds(namespace, start, end);
    let mut found = Vec::new();
    for entry in state.range(first.as_slice()..past.as_slice())? {
        let (key, stored) = entry?;
        found.push((key_text(key.value(), namespace.len() + 1), versioned(stored.value())));
    }
    Ok(found)
}

/// The first stored key of a range and the one past its last.
fn bounds(namespace: &str, start: &str, end: &str) -> (Vec<u8>, Vec<u8>) {
    let first = state_key(namespace, start);
    let past = if end.is_empty() {
        [namespace.as_bytes(), &[1]].concat()
    } else {
        state_key(namespace, end)
    };
    let past = past.max(first.clone());
    (first, past)
}

fn key_text(stored: &[u8], key_at: usize) -> String {
    let key = std::str::from_utf8(&stored[key_at..]).expect("keys are stored from texts");
    key.to_owned()
}
