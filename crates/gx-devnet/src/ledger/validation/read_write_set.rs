//! The decoded read and write set of a transaction, which the checks of `envelope` make and the
//! committer applies.

use gx_fabric_proto::kvrwset::{HashedRwSet, KvrwSet};

/// One namespace of a transaction's read and write set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamespaceSet {
    pub(crate) namespace: String,
    pub(crate) keys: KvrwSet,
    pub(crate) collections: Vec<CollectionSet>,
}

impl NamespaceSet {
    /// Returns whether the transaction writes in this namespace.
    pub(crate) fn has_writes(&self) -> bool {
        self.has_public_writes() || self.collections.iter().any(CollectionSet::is_written)
    }

    /// Returns whether the chaincode's own policy applies. It does not if everything that is
    /// written has another policy.
    pub(crate) fn needs_own_policy(&self) -> bool {
        let by_default = |set: &CollectionSet| set.is_written() && !set.has_own_policy;
        self.has_public_writes() || self.collections.iter().any(by_default) || !self.has_writes()
    }

    fn has_public_writes(&self) -> bool {
        !self.keys.writes.is_empty() || !self.keys.metadata_writes.is_empty()
    }
}

/// One collection of a transaction's read and write set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CollectionSet {
    pub(crate) name: String,
    pub(crate) keys: HashedRwSet,
    /// The hash of the private writes; empty if there are none.
    pub(crate) private_hash: Vec<u8>,
    /// Number of blocks for which the data are kept; 0 means for ever.
    pub(crate) block_to_live: u64,
    /// Whether the collection has its own policy, which replaces the chaincode's.
    pub(crate) has_own_policy: bool,
}

impl CollectionSet {
    pub(crate) fn is_written(&self) -> bool {
        !self.keys.hashed_writes.is_empty() || !self.keys.metadata_writes.is_empty()
    }
}
