//! The private data of a block that a reader may see. Read for each block that a peer sends with
//! private data.

use std::collections::HashMap;

use gx_fabric_proto::rwset::{
    CollectionPvtReadWriteSet, NsPvtReadWriteSet, TxPvtReadWriteSet, tx_read_write_set::DataModel,
};

use crate::ledger::{PrivateWrites, StoreError};
use crate::msp::Identity;
use crate::node::{Node, Peer};

/// Returns, by transaction, the private data that the peer holds and the reader may read.
pub(super) fn private_data(
    node: &Node,
    peer: &Peer,
    reader: &Identity,
    block: u64,
) -> Result<HashMap<u64, TxPvtReadWriteSet>, StoreError> {
    let mut visible: HashMap<u64, TxPvtReadWriteSet> = HashMap::new();
    for writes in node.store.private_writes(block)? {
        let chaincode = node.chaincodes.get(&writes.namespace);
        let collection = chaincode.and_then(|it| it.collections.get(&writes.collection));
        let is_visible =
            collection.is_some_and(|it| it.is_held_by(peer.msp_id) && it.admits_reader(reader));
        if is_visible {
            add(visible.entry(u64::from(writes.transaction)).or_default(), writes);
        }
    }
    Ok(visible)
}

fn add(transaction: &mut TxPvtReadWriteSet, writes: PrivateWrites) {
    transaction.data_model = DataModel::Kv.into();
    let PrivateWrites { namespace, collection, set, .. } = writes;
    let set = CollectionPvtReadWriteSet { collection_name: collection, rwset: set };
    match transaction.ns_pvt_rwset.iter_mut().find(|known| known.namespace == namespace) {
        Some(known) => known.collection_pvt_rwset.push(set),
        None => transaction
            .ns_pvt_rwset
            .push(NsPvtReadWriteSet { namespace, collection_pvt_rwset: vec![set] }),
    }
}
