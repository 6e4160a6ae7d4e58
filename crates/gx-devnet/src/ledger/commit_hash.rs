//! The hash chain over judgements and writes, computed as a peer computes it: two peers of
//! one channel that disagree about anything show it here.

use std::collections::BTreeMap;

use prost::Message;
use sha2::{Digest, Sha256};

use super::store::Version;

#[derive(Clone, PartialEq, Message)]
struct Updates {
    #[prost(message, repeated, tag = "1")]
    writes: Vec<Write>,
}

#[derive(Clone, PartialEq, Message)]
struct Write {
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

/// What a block's valid transactions leave behind, a key's last write only.
#[derive(Default)]
pub(super) struct BlockWrites(BTreeMap<(String, String), LastWrite>);

struct LastWrite {
    version: Version,
    /// None deletes the key.
    value: Option<Vec<u8>>,
}

impl BlockWrites {
    pub(super) fn record(
        &mut self,
        namespace: &str,
        key: &str,
        version: Version,
        value: Option<Vec<u8>>,
    ) {
        self.0.insert((namespace.to_owned(), key.to_owned()), LastWrite { version, value });
    }

    /// SHA-256 over the number of codes, the codes, the writes and the previous hash.
    pub(super) fn commit_hash(self, codes: &[u8], previous: &[u8]) -> [u8; 32] {
        let mut hashed = Vec::new();
        prost::encode_length_delimiter(codes.len(), &mut hashed).expect("a vector grows as needed");
        hashed.extend_from_slice(codes);
        hashed.extend(self.into_bytes());
        hashed.extend_from_slice(previous);
        Sha256::digest(&hashed).into()
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut last_namespace = None;
        let writes = self.0.into_iter().map(|((namespace, key), LastWrite { version, value })| {
            // The namespace stands at the first of its keys only.
            let first = last_namespace.as_ref() != Some(&namespace);
            last_namespace = Some(namespace.clone());
            Write {
                namespace: if first { namespace } else { String::new() },
                collection: String::new(),
                key: key.into_bytes(),
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

/// A number as its count of significant bytes and these, which sorts like the number.
fn ordered_bytes(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let significant = &bytes[zeros..];
    let count = u8::try_from(significant.len()).expect("a u64 has at most 8 bytes");
    [&[count], significant].concat()
}
