//! The key of one person, and what it encrypts: the keys of documents and the facts about them.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use gx_serve::Entropy;
use secrecy::zeroize::Zeroizing;

use crate::seal::{DamagedFile, FileKey};

/// Salt of the derivation of keys from a person's key.
const SALT: &[u8] = b"gx person key 1";
/// Purpose of the key that wraps keys of documents.
const WRAP: &[u8] = b"document keys";
/// Purpose of the key that encrypts facts.
const FACTS: &[u8] = b"document facts";

/// What is derived from the key of a person; the key itself is not kept.
///
/// A key of a document is wrapped by AES-256-GCM with the document's id as associated data. NIST SP
/// 800-38F (section 3.1) permits an approved mode of authenticated encryption for wrapping;
/// AES-KWP, which it defines, has no associated data, so that a wrapped key could be moved to
/// another document.
pub struct PersonKey {
    wrap: LessSafeKey,
    facts: LessSafeKey,
}

impl PersonKey {
    pub(super) fn derive(key: &[u8]) -> Self {
        let derivation = Salt::new(HKDF_SHA256, SALT).extract(key);
        let of = |purpose: &[u8]| {
            let info = [purpose];
            let derived = derivation.expand(&info, &AES_256_GCM);
            LessSafeKey::new(UnboundKey::from(derived.expect("32 bytes can be derived")))
        };
        Self { wrap: of(WRAP), facts: of(FACTS) }
    }

    /// Returns the wrapped key of a document.
    pub fn wrap(&self, document_id: &str, key: &FileKey, entropy: &Entropy) -> Vec<u8> {
        encrypt(&self.wrap, document_id, key.bytes(), entropy)
    }

    /// Returns the key of a document.
    ///
    /// # Errors
    /// [`DamagedFile`] if it was changed, or is of another document or person.
    pub fn unwrap(&self, document_id: &str, wrapped: &[u8]) -> Result<FileKey, DamagedFile> {
        FileKey::from_slice(&decrypt(&self.wrap, document_id, wrapped)?).ok_or(DamagedFile)
    }

    /// Returns the encrypted facts about a document.
    pub fn encrypt_facts(&self, document_id: &str, facts: &[u8], entropy: &Entropy) -> Vec<u8> {
        encrypt(&self.facts, document_id, facts, entropy)
    }

    /// Returns the facts about a document.
    ///
    /// # Errors
    /// [`DamagedFile`] if they were changed, or are of another document or person.
    pub fn decrypt_facts(
        &self,
        document_id: &str,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DamagedFile> {
        decrypt(&self.facts, document_id, encrypted)
    }
}

fn encrypt(key: &LessSafeKey, document_id: &str, plain: &[u8], entropy: &Entropy) -> Vec<u8> {
    let nonce: [u8; NONCE_LEN] = entropy.bytes();
    let mut sealed = plain.to_vec();
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(document_id.as_bytes()),
        &mut sealed,
    )
    .expect("a value is far shorter than the 64 GiB that AES-GCM encrypts");
    [&nonce[..], &sealed].concat()
}

fn decrypt(
    key: &LessSafeKey,
    document_id: &str,
    encrypted: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DamagedFile> {
    let (nonce, sealed) = encrypted.split_at_checked(NONCE_LEN).ok_or(DamagedFile)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| DamagedFile)?;
    let mut opened = Zeroizing::new(sealed.to_vec());
    let plain = key.open_in_place(nonce, Aad::from(document_id.as_bytes()), &mut opened);
    let length = plain.map_err(|_| DamagedFile)?.len();
    opened.truncate(length);
    Ok(opened)
}
