//! Snapshots of the ledger. The committing thread takes, restores and deletes them for the control
//! endpoint and `Devnet`.
//!
//! A snapshot is a savepoint of the store. It takes no time to make, keeps the pages that later
//! blocks replace, and survives a restart.

use std::collections::BTreeSet;

use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use super::{Store, StoreError};

/// Snapshot id to the height at which it was taken. Not part of a dump.
pub(crate) const SNAPSHOTS: TableDefinition<'static, u64, u64> = TableDefinition::new("snapshots");

/// Limit of snapshots, because each keeps pages from being reused.
const MAX_SNAPSHOTS: usize = 100;

/// A snapshot of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerSnapshot {
    /// The id; later snapshots never have the same.
    pub id: u64,
    /// Number of blocks in the chain.
    pub height: u64,
}

/// Why a snapshot cannot be taken, restored or deleted.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is no snapshot with this id, or a return to an older one has deleted it.
    #[error("there is no snapshot {0}; a return to an older one deletes all later ones")]
    Unknown(u64),
    /// The limit of snapshots is reached.
    #[error("there are {MAX_SNAPSHOTS} snapshots already; delete one")]
    TooMany,
    /// The store has failed or the ledger is stopping.
    #[error("the development ledger refused the request: {0}")]
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
    /// Returns all snapshots, oldest first.
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

    /// Takes a snapshot of a chain of this height.
    pub(crate) fn take_snapshot(&self, height: u64) -> Result<LedgerSnapshot, SnapshotError> {
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

    /// Returns the store to a snapshot. Later snapshots are deleted; this one is kept. After an
    /// error nothing has changed.
    pub(crate) fn revert(&self, id: u64) -> Result<LedgerSnapshot, SnapshotError> {
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
            // Its row was written after its savepoint, and an older snapshot may have been deleted
            // since.
            snapshots.insert(id, snapshot.height)?;
            snapshots.retain(|id, _| kept.contains(&id))?;
        }
        transaction.commit()?;
        Ok(snapshot)
    }

    /// Deletes a snapshot, so that its pages can be reused.
    pub(crate) fn delete_snapshot(&self, id: u64) -> Result<(), SnapshotError> {
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
