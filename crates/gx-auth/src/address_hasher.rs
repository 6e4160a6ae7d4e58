//! The hash under which failed sign-ins of an address are counted, so that the table of failures
//! has no addresses. Kept by [`crate::Foundation`] for [`crate::sign_in_throttle`].

use gx_serve::FingerprintKey;

use crate::email::GivenEmail;
use crate::realm::Realm;

/// Hashes addresses with a secret key. Clones share the key.
#[derive(Clone)]
pub(crate) struct AddressHasher(FingerprintKey);

impl AddressHasher {
    pub(crate) fn new(key: FingerprintKey) -> Self {
        Self(key)
    }

    /// Returns the key of an address in the table of failures.
    pub(crate) fn hash(&self, realm: Realm, email: &GivenEmail) -> [u8; 32] {
        self.0.hash(&[realm.session_table().as_bytes(), email.form().as_bytes()])
    }
}
