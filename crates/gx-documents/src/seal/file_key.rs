//! The key of one document.

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use gx_serve::Entropy;
use secrecy::zeroize::Zeroizing;

/// Size of a key, in bytes.
const KEY_BYTES: usize = 32;

/// The key of one document. Its memory is cleared when it is dropped, and it is not printed.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey")
    }
}

impl FileKey {
    /// Creates a random key.
    pub fn new(entropy: &Entropy) -> Self {
        Self(Zeroizing::new(entropy.bytes()))
    }

    /// Returns the key with these bytes, or `None` if it has another length.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|key| Self(Zeroizing::new(key)))
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    pub(super) fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &self.0[..]);
        LessSafeKey::new(key.expect("a key has the 32 bytes of AES-256"))
    }
}
