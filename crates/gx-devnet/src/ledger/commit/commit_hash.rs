//! The commit hash: a hash chain over validation codes and writes. If two peers of a channel
//! disagree about anything, their hashes differ.
//!
//! The committer records the writes of each block in [`BlockWrites`] and then computes the hash.
//! The hashed bytes are those of a Fabric peer, so the messages below must not change.

use std::collections::BTreeMap;

use prost::Message;
use sha2::{Digest, Sha256};

use crate::ledger::state::{CollectionName, Version};

/// The writes of a block, as they are hashed.
#[derive(Clone, PartialEq, Message)]
struct Updates {
    #[prost(message, repeated, tag = "1")]
    writes: Vec<HashedWrite>,
}

/// One write, as it is hashed.
#[derive(Clone, PartialEq, Message)]
struct HashedWrite {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    collection: String,
    #[prost(bytes = "vec", tag = "3")]
    key: Vec<u8>,
    #[prost(bool, tag = "4")]
    is_delete: bool,
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    version: Vec<u8>,
}

/// The writes of a block's valid transactions; only the last write of each key.
#[derive(Default)]
pub(super) struct BlockWrites(BTreeMap<WrittenKey, LastWrite>);

/// The key of a write. Keys sort in the order of hashing: the public keys of a namespace come
/// before its collections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct WrittenKey {
    namespace: String,
    /// The name of the collection; empty for public keys.
    collection: String,
    /// The key, or its hash in a collection.
    key: Vec<u8>,
}

struct LastWrite {
    version: Version,
    /// The value; `None` deletes the key.
    value: Option<Vec<u8>>,
}

impl BlockWrites {
    /// Records a write to a public key; it replaces an earlier one of the block.
    pub(super) fn record_public_write(
        &mut self,
        namespace: &str,
        key: &str,
        version: Version,
        value: Option<Vec<u8>>,
    ) {
        let (namespace, key) = (namespace.to_owned(), key.as_bytes().to_vec());
        let written = WrittenKey { namespace, collection: String::new(), key };
        self.0.insert(written, LastWrite { version, value });
    }

    /// Records a write to a collection, with the hashes of key and value; `None` deletes the key.
    pub(super) fn record_hashed_write(
        &mut self,
        collection: CollectionName<'_>,
        key_hash: &[u8],
        version: Version,
        value: Option<Vec<u8>>,
    ) {
        let written = WrittenKey {
            namespace: collection.namespace.to_owned(),
            collection: collection.name.to_owned(),
            key: key_hash.to_vec(),
        };
        self.0.insert(written, LastWrite { version, value });
    }

    /// Returns SHA-256 over the number of codes, the codes, the writes and the commit hash of the
    /// previous block.
    pub(super) fn commit_hash(self, codes: &[u8], previous: &[u8]) -> [u8; 32] {
        let mut hashed = Vec::new();
        prost::encode_length_delimiter(codes.len(), &mut hashed).expect("a vector grows as needed");
        hashed.extend_from_slice(codes);
        hashed.extend(self.into_bytes());
        hashed.extend_from_slice(previous);
        Sha256::digest(&hashed).into()
    }

    /// Encodes the writes in the order of their keys.
    fn into_bytes(self) -> Vec<u8> {
        let mut previous_key = (String::new(), String::new());
        let writes = self.0.into_iter().map(|(written, LastWrite { version, value })| {
            // Namespace and collection are encoded only at their first key.
            let is_same_namespace = written.namespace == previous_key.0;
            let is_same_collection = is_same_namespace && written.collection == previous_key.1;
            previous_key = (written.namespace.clone(), written.collection.clone());
            HashedWrite {
                namespace: if is_same_namespace { String::new() } else { written.namespace },
                collection: if is_same_collection { String::new() } else { written.collection },
                key: written.key,
                is_delete: value.is_none(),
                value: value.unwrap_or_default(),
                version: version_bytes(version),
            }
        });
        Updates { writes: writes.collect() }.encode_to_vec()
    }
}

fn version_bytes(version: Version) -> Vec<u8> {
    let mut bytes = ordered_bytes(version.block);
    bytes.extend(ordered_bytes(u64::from(version.transaction)));
    bytes
}

/// Encodes a number as the count of its significant bytes and these bytes, which sorts like the
/// number.
fn ordered_bytes(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let significant = &bytes[zeros..];
    let count = u8::try_from(significant.len()).expect("a u64 has at most 8 bytes");
    [&[count], significant].concat()
}
