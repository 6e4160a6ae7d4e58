//! The store: blocks, world state and transaction index in one file, so that they are committed
//! together. The committer writes it; all services read it. A [`StoreError`] fails the call that
//! reads, and ends the committing thread.

mod expiry;
mod file;
mod key_policy;
mod places;
mod private;
mod snapshot;
mod table_copy;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use gx_fabric_proto::kvrwset::{self, KvRead};
use redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition,
    Value, WriteTransaction,
};

use crate::DevnetError;
use expiry::EXPIRIES;
use file::open_database;

pub(crate) use key_policy::{BadPolicy, key_policy};
pub(super) use places::Places;
pub(crate) use private::{CollectionName, PrivateTables, PrivateWrites, hash_of};
pub use snapshot::{LedgerSnapshot, SnapshotError};
pub(crate) use table_copy::{ChainSummary, OwnedPiece, Piece};
pub(super) use values::Rows;

/// Block number to encoded block.
pub(super) const BLOCKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("blocks");
/// Hash of a block's header to its number.
const BLOCK_HASHES: TableDefinition<'static, &[u8], u64> = TableDefinition::new("block hashes");
/// Namespace, zero byte and key to version and value.
const STATE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("state");
/// The keys that have metadata, to their entries. A separate table, because few keys have any.
const METADATA: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("metadata");
/// Transaction id to the position of its first occurrence and its validation code.
const TRANSACTIONS: TableDefinition<'static, &str, (u64, u32, u8)> =
    TableDefinition::new("transactions");
/// A valid change of a key, as block, transaction, and namespace, zero byte and key, to the
/// position of the change before it. With the block first, new rows are adjacent at the end.
const HISTORY: TableDefinition<'static, (u64, u32, &[u8]), (u64, u32)> =
    TableDefinition::new("history");
/// Key to the position of its last deletion. The position of an existing key is its version.
const DELETIONS: TableDefinition<'static, &[u8], (u64, u32)> = TableDefinition::new("deletions");

/// An operation on each table of a ledger.
pub(super) trait TableVisitor {
    type Error;

    fn visit<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), Self::Error>;
}

/// Calls the visitor for all tables of the ledger, always in this order.
pub(super) fn visit_tables<T: TableVisitor>(visitor: &mut T) -> Result<(), T::Error> {
    visitor.visit(BLOCKS)?;
    visitor.visit(BLOCK_HASHES)?;
    visitor.visit(STATE)?;
    visitor.visit(METADATA)?;
    visitor.visit(TRANSACTIONS)?;
    visitor.visit(HISTORY)?;
    visitor.visit(DELETIONS)?;
    visitor.visit(EXPIRIES)?;
    private::visit_tables(visitor)
}

/// Error: the disk or the store's file failed.
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

/// Named values that belong to a key, in addition to its value.
pub(crate) type Metadata = BTreeMap<String, Vec<u8>>;

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) version: Version,
    pub(crate) value: Vec<u8>,
}

/// The position of a transaction and its validation code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) block: u64,
    pub(crate) transaction: u32,
    pub(crate) code: u8,
}

/// Name of the file in the data folder.
pub(crate) const LEDGER_FILE: &str = "ledger.redb";

/// The durable ledger.
pub(crate) struct Store {
    pub(super) database: redb::Database,
}

impl Store {
    /// Opens the file, or creates it.
    pub(crate) fn open(path: &Path, fsync: bool) -> Result<Self, DevnetError> {
        let store = Self { database: open_database(path, fsync)? };
        // Creates all tables, so that readers find them.
        store.write(|batch| batch.private().map(|_| ())).map_err(|error| DevnetError::Store {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(store)
    }

    /// Returns the number and bytes of the newest block, or `None` before the genesis block.
    pub(crate) fn newest_block(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let blocks = self.database.begin_read()?.open_table(BLOCKS)?;
        Ok(blocks.last()?.map(|(number, block)| (number.value(), block.value().to_vec())))
    }

    /// Returns the bytes of a block, or `None` if the chain is shorter.
    pub(crate) fn block(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let blocks = self.database.begin_read()?.open_table(BLOCKS)?;
        Ok(blocks.get(number)?.map(|block| block.value().to_vec()))
    }

    /// Returns the number of the block whose header has this hash, or `None` if there is none.
    pub(crate) fn block_number(&self, hash: &[u8]) -> Result<Option<u64>, StoreError> {
        let hashes = self.database.begin_read()?.open_table(BLOCK_HASHES)?;
        Ok(hashes.get(hash)?.map(|number| number.value()))
    }

    /// Returns the position where a transaction occurred first, or `None` if it is in no block.
    pub(crate) fn transaction(&self, id: &str) -> Result<Option<Location>, StoreError> {
        let transactions = self.database.begin_read()?.open_table(TRANSACTIONS)?;
        Ok(transactions.get(id)?.map(|entry| location(entry.value())))
    }

    /// Returns the committed state of this moment; later commits do not change it.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let transaction = self.database.begin_read()?;
        Ok(Snapshot {
            state: transaction.open_table(STATE)?,
            metadata: transaction.open_table(METADATA)?,
            transaction,
        })
    }

    /// Runs `change` in one durable transaction. If `change` fails, nothing is written.
    pub(crate) fn write<R>(
        &self,
        change: impl FnOnce(&mut Batch<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let mut transaction = self.database.begin_write()?;
        // Saves the free-space map with each commit, so that a start after a crash need not read
        // the whole file.
        transaction.set_quick_repair(true);
        let result = {
            let mut batch = Batch {
                blocks: transaction.open_table(BLOCKS)?,
                block_hashes: transaction.open_table(BLOCK_HASHES)?,
                state: transaction.open_table(STATE)?,
                metadata: transaction.open_table(METADATA)?,
                transactions: transaction.open_table(TRANSACTIONS)?,
                history: transaction.open_table(HISTORY)?,
                deletions: transaction.open_table(DELETIONS)?,
                expiries: transaction.open_table(EXPIRIES)?,
                private: None,
                transaction: &transaction,
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
    /// For the tables that few transactions read.
    transaction: ReadTransaction,
}

/// Changes that are not committed yet; reads see them.
pub(crate) struct Batch<'t> {
    blocks: Table<'t, u64, &'static [u8]>,
    block_hashes: Table<'t, &'static [u8], u64>,
    state: Table<'t, &'static [u8], &'static [u8]>,
    metadata: Table<'t, &'static [u8], &'static [u8]>,
    transactions: Table<'t, &'static str, (u64, u32, u8)>,
    history: Table<'t, (u64, u32, &'static [u8]), (u64, u32)>,
    deletions: Table<'t, &'static [u8], (u64, u32)>,
    expiries: Table<'t, (u64, u64, u32, &'static str, &'static str), &'static [u8]>,
    private: Option<PrivateTables<'t>>,
    transaction: &'t WriteTransaction,
}

impl<'t> Batch<'t> {
    /// Returns the tables of private data.
    pub(crate) fn private(&mut self) -> Result<&mut PrivateTables<'t>, StoreError> {
        let tables = match self.private.take() {
            Some(tables) => tables,
            None => PrivateTables::open(self.transaction)?,
        };
        Ok(self.private.insert(tables))
    }

    /// Adds a block, whose header has this hash.
    pub(crate) fn put_block(
        &mut self,
        number: u64,
        hash: &[u8],
        block: &[u8],
    ) -> Result<(), StoreError> {
        self.blocks.insert(number, block)?;
        self.block_hashes.insert(hash, number)?;
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

/// Returns a read in the form of a read set.
pub(super) fn to_read(key: String, version: Option<Version>) -> KvRead {
    KvRead { key, version: version.map(to_wire) }
}

/// Returns a version in the form of a read set.
pub(super) fn to_wire(version: Version) -> kvrwset::Version {
    kvrwset::Version { block_num: version.block, tx_num: u64::from(version.transaction) }
}
