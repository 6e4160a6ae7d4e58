//! The places of a key's valid writes.

use redb::OwnedRange;

use super::state::state_key;
use super::{BLOCKS, Batch, HISTORY, Snapshot, StoreError, Version};

impl Snapshot {
    /// Where a key was written.
    pub(crate) fn places(&self, namespace: &str, key: &str) -> Result<Places, StoreError> {
        let key = state_key(namespace, key);
        let of_key = (key.as_slice(), 0, 0)..=(key.as_slice(), u64::MAX, u32::MAX);
        Ok(Places(self.transaction.open_table(HISTORY)?.range_owned(of_key)?))
    }

    /// One block's bytes.
    pub(crate) fn block(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let blocks = self.transaction.open_table(BLOCKS)?;
        Ok(blocks.get(number)?.map(|block| block.value().to_vec()))
    }
}

/// Transactions, the newest first, read as they are asked for.
pub(crate) struct Places(OwnedRange<(&'static [u8], u64, u32), ()>);

impl Iterator for Places {
    type Item = Result<Version, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.0.next_back()?;
        Some(entry.map_err(StoreError::from).map(|(key, _)| {
            let (_, block, transaction) = key.value();
            Version { block, transaction }
        }))
    }
}

impl Batch<'_> {
    /// Remembers that this transaction wrote the key.
    pub(crate) fn put_place(
        &mut self,
        namespace: &str,
        key: &str,
        at: Version,
    ) -> Result<(), StoreError> {
        let key = state_key(namespace, key);
        self.history.insert((key.as_slice(), at.block, at.transaction), ())?;
        Ok(())
    }
}
