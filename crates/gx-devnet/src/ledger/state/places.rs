//! The history of keys: for each valid change, the transaction of the change before it. Recorded at
//! commit; read by `History`.

use redb::{ReadOnlyTable, ReadableTable};

use super::values::{state_key, version_of};
use super::{BLOCKS, Batch, DELETIONS, HISTORY, Snapshot, StoreError, Version};

impl Snapshot {
    /// Returns the transactions that changed a key's value or metadata.
    pub(crate) fn places(&self, namespace: &str, key: &str) -> Result<Places, StoreError> {
        let key = state_key(namespace, key);
        let newest = match self.state.get(key.as_slice())? {
            Some(stored) => Some(version_of(stored.value())),
            None => place(&self.transaction.open_table(DELETIONS)?, key.as_slice())?,
        };
        Ok(Places { history: self.transaction.open_table(HISTORY)?, key, next: newest })
    }

    /// Returns the bytes of a block.
    pub(crate) fn block(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let blocks = self.transaction.open_table(BLOCKS)?;
        Ok(blocks.get(number)?.map(|block| block.value().to_vec()))
    }
}

/// Transactions, newest first, which are read on demand.
pub(crate) struct Places {
    history: ReadOnlyTable<(u64, u32, &'static [u8]), (u64, u32)>,
    key: Vec<u8>,
    next: Option<Version>,
}

impl Places {
    /// Returns the next older transaction, or `None` after the first change.
    pub(crate) fn next(&mut self) -> Result<Option<Version>, StoreError> {
        let Some(at) = self.next else { return Ok(None) };
        self.next = place(&self.history, (at.block, at.transaction, self.key.as_slice()))?;
        Ok(Some(at))
    }
}

impl Batch<'_> {
    /// Records the change before this one: that of the replaced value, or the key's deletion.
    pub(super) fn remember(
        &mut self,
        key: &[u8],
        at: Version,
        replaced: Option<Version>,
    ) -> Result<(), StoreError> {
        let before = match replaced {
            Some(replaced) => Some(replaced),
            None => place(&self.deletions, key)?,
        };
        // A transaction that writes both value and metadata calls this twice.
        if let Some(before) = before.filter(|before| *before != at) {
            let before = (before.block, before.transaction);
            self.history.insert((at.block, at.transaction, key), before)?;
        }
        Ok(())
    }
}

/// Returns the entry of a table as a position, or `None` if there is no entry.
fn place<K: redb::Key + 'static>(
    table: &impl ReadableTable<K, (u64, u32)>,
    key: K::SelfType<'_>,
) -> Result<Option<Version>, StoreError> {
    let place = table.get(key)?.map(|place| place.value());
    Ok(place.map(|(block, transaction)| Version { block, transaction }))
}

#[cfg(test)]
mod tests {
    //! A row that led to itself would make the history endless.

    use super::super::Store;
    use super::*;

    #[test]
    fn a_transaction_that_writes_a_key_twice_is_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("ledger"), false).unwrap();
        let [first, second] = [4, 9].map(|block| Version { block, transaction: 0 });
        for (at, value) in [(first, b"one"), (second, b"two")] {
            let twice = |batch: &mut Batch<'_>| {
                batch.put("basic", "key", at, value)?;
                batch.put("basic", "key", at, value)
            };
            store.write(twice).unwrap();
        }
        let mut places = store.snapshot().unwrap().places("basic", "key").unwrap();
        let told = [(); 3].map(|()| places.next().unwrap());
        assert_eq!(told, [Some(second), Some(first), None]);
    }
}
