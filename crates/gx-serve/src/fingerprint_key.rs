//! The key of hashes that must not be guessed: of requests with passwords, and of addresses. A bare
//! hash of a password or an address is found by trying.

use aws_lc_rs::hmac;

/// A key of HMAC-SHA-256. Clones share it.
#[derive(Clone, Debug)]
pub struct FingerprintKey(hmac::Key);

impl FingerprintKey {
    /// Derives the key of one purpose from a secret of the service.
    pub fn derive(secret: &[u8], purpose: &str) -> Self {
        let parent = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&parent, purpose.as_bytes());
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// Returns the hash of the parts. The length of each part counts, so that no two lists of parts
    /// are the same text.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut content = hmac::Context::with_key(&self.0);
        for part in parts {
            content.update(&(part.len() as u64).to_be_bytes());
            content.update(part);
        }
        let tag = content.sign();
        tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEC-API-02: a hash depends on secret, purpose and every part.
    #[test]
    fn hashes_differ_by_secret_purpose_and_parts() {
        let key = FingerprintKey::derive(b"secret", "requests");
        let hash = key.hash(&[b"a", b"bc"]);
        assert_eq!(hash, key.clone().hash(&[b"a", b"bc"]));
        assert_ne!(hash, key.hash(&[b"ab", b"c"]));
        assert_ne!(hash, FingerprintKey::derive(b"secret", "addresses").hash(&[b"a", b"bc"]));
        assert_ne!(hash, FingerprintKey::derive(b"another", "requests").hash(&[b"a", b"bc"]));
    }
}
