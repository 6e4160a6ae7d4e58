//! Blocks, world state and transaction index in one file: what belongs together commits
//! together.

mod expiry;
mod file;
mod history;
mod private;
mod state;

use std::path::Path;

use redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition,
    Value, WriteTransaction,
};

use crate::DevnetError;
use expiry::EXPIRIES;
use file::open_database;

pub(super) use history::Places;
pub(crate) use private::{CollectionName, PrivateTables, PrivateWrites, hash_of};
pub(super) use state::Rows;

/// Block number to encoded block.
pub(super) const BLOCKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("blocks");
/// Hash of a block's header to its number.
const BLOCK_HASHES: TableDefinition<'static, &[u8], u64> = TableDefinition::new("block hashes");
/// Namespace, zero byte and key to version and value.
const STATE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("state");
/// The keys that have metadata, with their entries: few have, and only they pay for it.
const METADATA: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("metadata");
/// Transaction id to the place of its first appearance and its validation code.
const TRANSACTIONS: TableDefinition<'static, &str, (u64, u32, u8)> =
    TableDefinition::new("transactions");
/// A valid change of a key, as block, transaction, and namespace, zero byte and key, to the
/// place of the change before it. In this order, new entries stand together at the end.
const HISTORY: TableDefinition<'static, (u64, u32, &[u8]), (u64, u32)> =
    TableDefinition::new("history");
/// The place where a key was deleted last: that of a key that exists is its version.
const DELETIONS: TableDefinition<'static, &[u8], (u64, u32)> = TableDefinition::new("deletions");

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
    visitor.visit(BLOCK_HASHES)?;
    visitor.visit(STATE)?;
    visitor.visit(METADATA)?;
    visitor.visit(TRANSACTIONS)?;
    visitor.visit(HISTORY)?;
    visitor.visit(DELETIONS)?;
    visitor.visit(EXPIRIES)?;
    private::visit_tables(visitor)
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
        // Makes every table, so that readers find them.
        store.write(|batch| batch.private().map(|_| ())).map_err(|error| DevnetError::Store {
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

    /// The number of the block whose header has this hash.
    pub(crate) fn block_number(&self, hash: &[u8]) -> Result<Option<u64>, StoreError> {
        let hashes = self.database.begin_read()?.open_table(BLOCK_HASHES)?;
        Ok(hashes.get(hash)?.map(|number| number.value()))
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
            transaction,
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
    /// Opens the tables that few transactions read.
    transaction: ReadTransaction,
}

/// Changes that are under way; reads see them.
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
    /// The tables of private data.
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
