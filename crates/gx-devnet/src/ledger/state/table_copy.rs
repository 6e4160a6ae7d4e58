//! Copies the tables as bytes: out of a store that may be in use, for a dump, and into a new one,
//! for loading. A [`CopyError`] ends the dump or the loading.

use std::io;

use gx_fabric_proto::common::Block;
use gx_fabric_proto::{block_data_hash, block_header_hash};
use prost::Message;
use redb::{
    Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, Value,
    WriteTransaction,
};

use super::{BLOCKS, Store, StoreError, TableVisitor, visit_tables};
use crate::ledger::block::channel_of;

/// A piece of a copy. The entries of a table follow its name.
pub(crate) enum Piece<'a> {
    Table(&'a str),
    Entry(&'a [u8], &'a [u8]),
}

/// Why a copy is incomplete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it cannot be written: {0}")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Input(String),
}

macro_rules! from_store_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for CopyError {
            fn from(error: $error) -> Self {
                Self::Store(error.into())
            }
        }
    )*};
}
from_store_errors!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

/// Summary of the chain in a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChainSummary {
    pub(crate) channel: String,
    pub(crate) height: u64,
    pub(crate) newest_hash: Vec<u8>,
}

/// A frozen view of a store.
pub(crate) struct Frozen(ReadTransaction);

impl Store {
    /// Returns a view of the store that later commits do not change.
    pub(crate) fn freeze(&self) -> Result<Frozen, CopyError> {
        Ok(Frozen(self.database.begin_read()?))
    }

    /// Fills a new store completely or not at all. `next` returns the pieces in order, then `None`.
    pub(crate) fn fill(
        &self,
        next: &mut impl FnMut() -> Result<Option<OwnedPiece>, String>,
    ) -> Result<(), CopyError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        let mut filler = Filler { transaction: &transaction, piece: None, next };
        filler.advance()?;
        visit_tables(&mut filler)?;
        if let Some(OwnedPiece::Table(name)) = filler.piece {
            return Err(CopyError::Input(format!("there is no table {name} in a ledger")));
        }
        transaction.commit()?;
        Ok(())
    }
}

/// A [`Piece`] that was read from a dump.
pub(crate) enum OwnedPiece {
    Table(String),
    Entry(Vec<u8>, Vec<u8>),
}

impl Frozen {
    /// Checks that the blocks form a chain, and returns its summary.
    pub(crate) fn chain(&self) -> Result<ChainSummary, CopyError> {
        let mut chain = ChainSummary { channel: String::new(), height: 0, newest_hash: Vec::new() };
        for entry in self.0.open_table(BLOCKS)?.iter()? {
            let (number, bytes) = entry?;
            let block = Block::decode(bytes.value()).ok().filter(|block| extends(&chain, block));
            let number = number.value();
            let block = block.filter(|_| number == chain.height).ok_or_else(|| {
                CopyError::Input(format!("block {number} does not continue the chain"))
            })?;
            if number == 0 {
                chain.channel = channel_of(&block).unwrap_or_default();
            }
            chain.newest_hash = block_header_hash(&block.header.unwrap_or_default()).to_vec();
            chain.height += 1;
        }
        Ok(chain)
    }

    /// Passes the entries of all tables to `out`.
    pub(crate) fn copy_to(
        &self,
        out: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<(), CopyError> {
        visit_tables(&mut Copier { transaction: &self.0, out })
    }
}

/// Returns whether a block continues the chain with intact data.
fn extends(chain: &ChainSummary, block: &Block) -> bool {
    let (Some(header), Some(data)) = (&block.header, &block.data) else { return false };
    header.number == chain.height
        && header.previous_hash == chain.newest_hash
        && header.data_hash == block_data_hash(data)
}

/// Passes the entries of each table to `out`.
struct Copier<'a, F> {
    transaction: &'a ReadTransaction,
    out: &'a mut F,
}

impl<F: FnMut(Piece<'_>) -> io::Result<()>> TableVisitor for Copier<'_, F> {
    type Error = CopyError;

    fn visit<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), CopyError> {
        let entries = match self.transaction.open_table(table) {
            Ok(entries) => entries,
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        (self.out)(Piece::Table(redb::TableHandle::name(&table)))?;
        for entry in entries.iter()? {
            let (key, value) = entry?;
            let (key, value) = (key.value(), value.value());
            (self.out)(Piece::Entry(K::as_bytes(&key).as_ref(), V::as_bytes(&value).as_ref()))?;
        }
        Ok(())
    }
}

/// Inserts the pieces into the tables.
struct Filler<'a, F> {
    transaction: &'a WriteTransaction,
    /// The next piece; `None` at the end.
    piece: Option<OwnedPiece>,
    next: &'a mut F,
}

impl<F: FnMut() -> Result<Option<OwnedPiece>, String>> Filler<'_, F> {
    /// Reads the next piece; the error says what is wrong with the dump.
    fn advance(&mut self) -> Result<(), CopyError> {
        self.piece = (self.next)().map_err(CopyError::Input)?;
        Ok(())
    }
}

impl<F: FnMut() -> Result<Option<OwnedPiece>, String>> TableVisitor for Filler<'_, F> {
    type Error = CopyError;

    /// Inserts the entries if the next piece is this table. If the dump lacks it, the table stays
    /// empty.
    fn visit<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), CopyError> {
        let mut entries = self.transaction.open_table(table)?;
        let name = redb::TableHandle::name(&table);
        if !matches!(&self.piece, Some(OwnedPiece::Table(next)) if next == name) {
            return Ok(());
        }
        self.advance()?;
        while let Some(OwnedPiece::Entry(key, value)) = &self.piece {
            entries.insert(K::from_bytes(key), V::from_bytes(value))?;
            self.advance()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! A table that is not copied would be lost without an error.

    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use redb::TableHandle;

    use super::super::snapshot::SNAPSHOTS;
    use super::*;

    struct Names(BTreeSet<String>);

    impl TableVisitor for Names {
        type Error = Infallible;

        fn visit<K: Key + 'static, V: Value + 'static>(
            &mut self,
            table: TableDefinition<'static, K, V>,
        ) -> Result<(), Infallible> {
            self.0.insert(table.name().to_owned());
            Ok(())
        }
    }

    #[test]
    fn every_table_of_the_store_is_copied_but_the_snapshots() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("ledger"), false).unwrap();
        store.take_snapshot(0).unwrap();
        let mut copied = Names(BTreeSet::new());
        let Ok(()) = visit_tables(&mut copied);
        copied.0.insert(SNAPSHOTS.name().to_owned());
        let kept = store.database.begin_read().unwrap();
        let kept: BTreeSet<String> =
            kept.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
        assert_eq!(copied.0, kept);
    }
}
