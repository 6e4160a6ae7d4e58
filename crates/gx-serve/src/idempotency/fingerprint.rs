//! The fingerprint of a request, by which a repetition is told from another request with the same
//! key.

use crate::fingerprint_key::KeyedHashes;
use sha2::{Digest, Sha256};

/// The hash of the parts of a request that determine its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// SHA-256, of a request that has no secrets.
    Plain([u8; 32]),
    /// HMACs, of a request that may have secrets.
    Keyed(KeyedHashes),
}

impl Fingerprint {
    /// Returns the fingerprint of a request without secrets.
    pub fn plain(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self::Plain(hash.finalize().into())
    }

    /// Returns the hash to be stored.
    pub fn hash(&self) -> &[u8; 32] {
        match self {
            Self::Plain(hash) => hash,
            Self::Keyed(hashes) => hashes.current(),
        }
    }

    /// Returns the version of the key of the hash to be stored, or `None` without a key.
    pub(super) fn key_version(&self) -> Option<i32> {
        match self {
            Self::Plain(_) => None,
            Self::Keyed(hashes) => Some(hashes.version()),
        }
    }

    /// Returns whether a stored hash is one of this request.
    pub(super) fn has_hash(&self, key_version: Option<i32>, hash: &[u8]) -> bool {
        match (self, key_version) {
            (Self::Plain(own), None) => own[..] == *hash,
            (Self::Keyed(hashes), Some(version)) => hashes.has_hash(version, hash),
            (Self::Plain(_), Some(_)) | (Self::Keyed(_), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_where_one_part_ends() {
        let fingerprint = Fingerprint::plain(&["ab", "c"]);
        assert_ne!(fingerprint, Fingerprint::plain(&["a", "bc"]));
        assert_eq!(fingerprint, Fingerprint::plain(&["ab", "c"]));
        assert!(fingerprint.has_hash(None, fingerprint.hash()));
        assert!(!fingerprint.has_hash(Some(1), fingerprint.hash()));
    }
}
