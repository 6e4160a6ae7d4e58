//! Deletes private data of collections whose data are kept for a limited number of blocks. The
//! committer calls [`Batch::expire`] for each block.

use redb::TableDefinition;

use super::private::CollectionName;
use super::{Batch, StoreError, Version};

/// The block at which private writes expire, with their transaction and collection, to the hashes
/// of their keys.
pub(super) const EXPIRIES: TableDefinition<'static, (u64, u64, u32, &str, &str), &[u8]> =
    TableDefinition::new("private expiries");

impl Batch<'_> {
    /// Records that a transaction's writes to a collection expire with the block `expires_with`.
    pub(crate) fn put_expiry(
        &mut self,
        expires_with: u64,
        collection: CollectionName<'_>,
        at: Version,
        key_hashes: &[Vec<u8>],
    ) -> Result<(), StoreError> {
        let CollectionName { namespace, name } = collection;
        let place = (expires_with, at.block, at.transaction, namespace, name);
        self.expiries.insert(place, key_hashes.concat().as_slice())?;
        Ok(())
    }

    /// Removes the private writes that expire with this block.
    pub(crate) fn expire(&mut self, block: u64) -> Result<(), StoreError> {
        let of_block = (0, 0, 0, "", "")..(block + 1, 0, 0, "", "");
        let mut expired = Vec::new();
        for row in self.expiries.extract_from_if(of_block, |_, _| true)? {
            let (place, key_hashes) = row?;
            let (_, block, transaction, namespace, name) = place.value();
            let at = Version { block, transaction };
            let collection = (namespace.to_owned(), name.to_owned());
            expired.push((collection, at, key_hashes.value().to_vec()));
        }
        for ((namespace, name), at, key_hashes) in expired {
            let collection = CollectionName { namespace: &namespace, name: &name };
            self.private()?.expire(collection, at, &key_hashes)?;
        }
        Ok(())
    }
}
