//! The history of one key, which `Simulation::history` opens and a chaincode service reads in
//! portions.

use std::sync::Arc;

use gx_fabric_proto::common::Block;
use gx_fabric_proto::kvrwset::KvrwSet;
use gx_fabric_proto::queryresult::KeyModification;
use gx_fabric_proto::rwset::TxReadWriteSet;
use prost::Message;

use super::block::{EndorsedTransaction, endorsed_transaction};
use super::state::{Places, Snapshot, StoreError, Version};

/// The valid writes of a key, newest first. They are not recorded as reads, so the commit does not
/// check that the history is still complete.
pub(crate) struct History {
    snapshot: Arc<Snapshot>,
    namespace: String,
    key: String,
    places: Places,
}

impl History {
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        namespace: &str,
        key: &str,
    ) -> Result<Self, StoreError> {
        let places = snapshot.places(namespace, key)?;
        Ok(Self { snapshot, namespace: namespace.to_owned(), key: key.to_owned(), places })
    }

    /// Returns the next older write, or `None` after the first one.
    pub(crate) fn next(&mut self) -> Result<Option<KeyModification>, StoreError> {
        while let Some(at) = self.places.next()? {
            let block = self.snapshot.block(at.block)?;
            let block = block.expect("the index names stored blocks only");
            if let Some(written) = self.modification(&block, at) {
                return Ok(Some(written));
            }
        }
        Ok(None)
    }

    /// Returns the write of a transaction, or `None` if it changed only the key's metadata.
    fn modification(&self, block: &[u8], at: Version) -> Option<KeyModification> {
        let block = Block::decode(block).expect("the store holds the blocks that were put there");
        let entry = block.data?.data.into_iter().nth(usize::try_from(at.transaction).ok()?)?;
        let EndorsedTransaction { channel, action } = endorsed_transaction(&entry)?;
        let results = TxReadWriteSet::decode(action.results.as_slice()).ok()?;
        let mut sets = results.ns_rwset.into_iter();
        let set = sets.find(|set| set.namespace == self.namespace)?;
        let keys = KvrwSet::decode(set.rwset.as_slice()).ok()?;
        let write = keys.writes.into_iter().find(|write| write.key == self.key)?;
        Some(KeyModification {
            tx_id: channel.tx_id,
            value: write.value,
            timestamp: channel.timestamp,
            is_delete: write.is_delete,
        })
    }
}
