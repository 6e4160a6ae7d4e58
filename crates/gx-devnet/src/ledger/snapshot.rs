//! Moments of the ledger that it can return to.
//!
//! A snapshot is a savepoint of the store: it costs nothing to take, keeps the pages that
//! later blocks replace, and survives a restart.

use std::collections::BTreeSet;

use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use super::store::{Store, StoreError};

/// Snapshot to the height at which it was taken. Not part of a dump.
pub(super) const SNAPSHOTS: TableDefinition<'static, u64, u64> = TableDefinition::new("snapshots");

/// Snapshots kept at once; each keeps pages from being used again.
const MAX_SNAPSHOTS: usize = 100;

/// A moment to return to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerSnapshot {
    /// Its number, which no later one has.
    pub id: u64,
    /// Blocks in the chain at that moment.
    pub height: u64,
}

/// Why there is no snapshot to take or to return to.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No snapshot has this number, or a return to an older one has ended it.
    #[error("there is no snapshot {0}; a return to an older one ends those taken after it")]
    Unknown(u64),
    /// There are as many as may be.
    #[error("there are {MAX_SNAPSHOTS} snapshots already; delete one")]
    TooMany,
    /// The store has failed or the ledger is stopping.
    #[error("the ledger cannot do it: {0}")]
    Ledger(String),
}

impl From<StoreError> for SnapshotError {
    fn from(error: StoreError) -> Self {
        Self::Ledger(error.to_string())
    }
}

macro_rules! ledger_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for SnapshotError {
            fn from(error: $error) -> Self {
                StoreError::from(error).into()
            }
        }
    )*};
}
ledger_errors!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

impl Store {
    /// Every snapshot, the oldest first.
    pub(crate) fn snapshots(&self) -> Result<Vec<LedgerSnapshot>, SnapshotError> {
        let table = match self.database.begin_read()?.open_table(SNAPSHOTS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut snapshots = Vec::new();
        for entry in table.iter()? {
            let (id, height) = entry?;
            snapshots.push(LedgerSnapshot { id: id.value(), height: height.value() });
        }
        Ok(snapshots)
    }

    /// Remembers this moment.
    pub(super) fn take_snapshot(&self, height: u64) -> Result<LedgerSnapshot, SnapshotError> {
        if self.snapshots()?.len() >= MAX_SNAPSHOTS {
            return Err(SnapshotError::TooMany);
        }
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        let id = transaction.persistent_savepoint().map_err(StoreError::from)?;
        transaction.open_table(SNAPSHOTS)?.insert(id, height)?;
        transaction.commit()?;
        Ok(LedgerSnapshot { id, height })
    }

    /// Makes everything as it was. Snapshots taken since are gone, this one stays.
    pub(super) fn revert(&self, id: u64) -> Result<LedgerSnapshot, SnapshotError> {
        let known = self.snapshots()?.into_iter().find(|snapshot| snapshot.id == id);
        let snapshot = known.ok_or(SnapshotError::Unknown(id))?;
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        let savepoint = transaction.get_persistent_savepoint(id).map_err(StoreError::from)?;
        transaction.restore_savepoint(&savepoint).map_err(StoreError::from)?;
        let kept: BTreeSet<u64> =
            transaction.list_persistent_savepoints().map_err(StoreError::from)?.collect();
        {
            let mut snapshots = transaction.open_table(SNAPSHOTS)?;
            // Its entry was made after its moment, and an older one may be deleted since.
            snapshots.insert(id, snapshot.height)?;
            snapshots.retain(|id, _| kept.contains(&id))?;
        }
        transaction.commit()?;
        Ok(snapshot)
    }

    /// Forgets a snapshot, so that its pages can be used again.
    pub(super) fn delete_snapshot(&self, id: u64) -> Result<(), SnapshotError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        let existed = transaction.delete_persistent_savepoint(id).map_err(StoreError::from)?;
        if !existed {
            return Err(SnapshotError::Unknown(id));
        }
        transaction.open_table(SNAPSHOTS)?.remove(id)?;
        transaction.commit()?;
        Ok(())
    }
}
