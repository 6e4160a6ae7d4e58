//! The key ring: the master keys of a deployment, and what is derived from them.
//!
//! A value is encrypted by AES-256-GCM and bound to its [`Place`], so that a ciphertext that is
//! moved to another row or column cannot be decrypted. The version of the master key is stored with
//! it. Each service reads the ring at its start: [`crate::SecondFactors`] encrypts with it, and the
//! hashes of requests and addresses have their keys from it. Called by `gx keys`, too.

mod file;
mod mail;
pub mod rotation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use gx_serve::{Entropy, FingerprintKeys};
use secrecy::SecretSlice;

pub use file::{KeyRingError, new_line};

/// Salt of the derivation of keys from a master key. It separates GX from other programs that are
/// given the same key.
const SALT: &[u8] = b"gx key ring 1";
/// Purpose of the key that encrypts values.
const ENCRYPTION: &[u8] = b"encryption";
/// Prefix of the purposes of HMAC keys.
const HMAC: &[u8] = b"hmac";

/// The file with the master keys.
#[derive(Clone, Debug, clap::Args)]
pub struct KeyRingSettings {
    /// File with the master keys, one `version:base64` of 32 bytes a line; the first one encrypts,
    /// and all decrypt.
    #[arg(long, env = "GX_MASTER_KEY_FILE")]
    pub master_key_file: PathBuf,
}

/// Where an encrypted value is stored: the associated data of its encryption.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name of the table.
    pub table: &'a str,
    /// Primary key of the row.
    pub row: &'a str,
    /// Name of the column.
    pub field: &'a str,
}

/// An encrypted value, as two columns store it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedValue {
    /// Version of the master key.
    pub key_version: i32,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// A keyed hash, which tells nothing about its content without the key ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedHash {
    /// Version of the master key.
    pub key_version: i32,
    /// HMAC-SHA-256.
    pub hash: [u8; 32],
}

/// Why a value cannot be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// The key ring lacks the version that the value was encrypted with.
    #[error("GX_MASTER_KEY_FILE has no key of version {0}; add the line with that version again")]
    UnknownVersion(i32),
    /// The value was changed, belongs to another row or was encrypted with another key.
    #[error(
        "an encrypted value is damaged, was moved, or has another key under the same version; \
         restore the value or the key"
    )]
    Damaged,
}

/// The master keys. Clones share them.
#[derive(Clone)]
pub struct KeyRing(Arc<Keys>);

struct Keys {
    current: i32,
    by_version: BTreeMap<i32, MasterKey>,
    entropy: Entropy,
}

/// What is derived from one master key; the key itself is not kept.
struct MasterKey {
    derivation: Prk,
    encryption: LessSafeKey,
}

impl MasterKey {
    fn new(key: &[u8; 32]) -> Self {
        let derivation = Salt::new(HKDF_SHA256, SALT).extract(key);
        let info = [ENCRYPTION];
        let derived = derivation.expand(&info, &AES_256_GCM).expect("32 bytes can be derived");
        let encryption = LessSafeKey::new(UnboundKey::from(derived));
        Self { derivation, encryption }
    }

    fn hmac_key(&self, purpose: &str) -> hmac::Key {
        let info = [HMAC, purpose.as_bytes()];
        let derived = self.derivation.expand(&info, HMAC_SHA256).expect("32 bytes can be derived");
        hmac::Key::from(derived)
    }

    fn hmac(&self, purpose: &str, parts: &[&[u8]]) -> hmac::Tag {
        hmac::sign(&self.hmac_key(purpose), &joined(parts))
    }
}

impl KeyRing {
    /// Reads the master keys from the file.
    ///
    /// # Errors
    /// [`KeyRingError`] if the file cannot be read or has a line that is not a key.
    pub fn read(settings: &KeyRingSettings, entropy: Entropy) -> Result<Self, KeyRingError> {
        let keys = file::read(&settings.master_key_file)?;
        Ok(Self::of(&keys, entropy))
    }

    /// Reads the master keys from the text of a key file.
    ///
    /// # Errors
    /// [`KeyRingError`] if the text has a line that is not a key.
    pub fn parse(text: &str, entropy: Entropy) -> Result<Self, KeyRingError> {
        let keys = file::parse(text, std::path::Path::new("master-keys"))?;
        Ok(Self::of(&keys, entropy))
    }

    fn of(keys: &file::MasterKeys, entropy: Entropy) -> Self {
        let by_version = keys.all().map(|(version, key)| (version, MasterKey::new(key))).collect();
        Self(Arc::new(Keys { current: keys.current(), by_version, entropy }))
    }

    /// Returns the version that encrypts.
    pub fn current_version(&self) -> i32 {
        self.0.current
    }

    /// Returns all versions that decrypt, in ascending order.
    pub fn versions(&self) -> Vec<i32> {
        self.0.by_version.keys().copied().collect()
    }

    fn current(&self) -> &MasterKey {
        &self.0.by_version[&self.0.current]
    }

    /// Encrypts a value with the current key.
    pub fn encrypt(&self, place: Place<'_>, value: &[u8]) -> EncryptedValue {
        let key_version = self.0.current;
        let nonce: [u8; NONCE_LEN] = self.0.entropy.bytes();
        let mut sealed = value.to_vec();
        let aad = Aad::from(place.associated_data(key_version));
        self.current()
            .encryption
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .expect("a value is far shorter than the 64 GiB that AES-GCM encrypts");
        EncryptedValue { key_version, bytes: [&nonce[..], &sealed].concat() }
    }

    /// Decrypts a value of this place.
    ///
    /// # Errors
    /// [`DecryptError`] if the key is missing or the value is not what was encrypted for the place.
    pub fn decrypt(
        &self,
        place: Place<'_>,
        value: &EncryptedValue,
    ) -> Result<SecretSlice<u8>, DecryptError> {
        let version = value.key_version;
        let key = self.0.by_version.get(&version).ok_or(DecryptError::UnknownVersion(version))?;
        let (nonce, sealed) =
            value.bytes.split_at_checked(NONCE_LEN).ok_or(DecryptError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| DecryptError::Damaged)?;
        let mut opened = sealed.to_vec();
        let aad = Aad::from(place.associated_data(version));
        let plain = key.encryption.open_in_place(nonce, aad, &mut opened);
        let length = plain.map_err(|_| DecryptError::Damaged)?.len();
        opened.truncate(length);
        Ok(opened.into())
    }

    /// Returns the value encrypted with the current key, or `None` if it is so already.
    ///
    /// # Errors
    /// [`DecryptError`] if the value cannot be decrypted.
    pub fn rewrap(
        &self,
        place: Place<'_>,
        value: &EncryptedValue,
    ) -> Result<Option<EncryptedValue>, DecryptError> {
        use secrecy::ExposeSecret as _;
        if value.key_version == self.0.current {
            return Ok(None);
        }
        let plain = self.decrypt(place, value)?;
        Ok(Some(self.encrypt(place, plain.expose_secret())))
    }

    /// Returns the keys of one purpose with which services hash what they look up: requests and
    /// addresses. Keys of different purposes are unrelated.
    pub fn fingerprint_keys(&self, purpose: &str) -> FingerprintKeys {
        let keys = self.0.by_version.iter().map(|(version, key)| (*version, key.hmac_key(purpose)));
        FingerprintKeys::new(self.0.current, keys.collect())
    }

    /// Returns the keyed hash of the parts. Hashes of different purposes are unrelated.
    pub fn keyed_hash(&self, purpose: &str, parts: &[&[u8]]) -> KeyedHash {
        let tag = self.current().hmac(purpose, parts);
        let hash = tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes");
        KeyedHash { key_version: self.0.current, hash }
    }

    /// Returns whether a keyed hash is that of the parts, in constant time. A hash of a version
    /// that the key ring lacks matches nothing.
    pub fn matches(&self, purpose: &str, hash: &KeyedHash, parts: &[&[u8]]) -> bool {
        self.0.by_version.get(&hash.key_version).is_some_and(|key| {
            let tag = key.hmac(purpose, parts);
            aws_lc_rs::constant_time::verify_slices_are_equal(tag.as_ref(), &hash.hash).is_ok()
        })
    }
}

impl Place<'_> {
    fn associated_data(&self, key_version: i32) -> Vec<u8> {
        let version = key_version.to_be_bytes();
        joined(&[self.table.as_bytes(), self.row.as_bytes(), self.field.as_bytes(), &version])
    }
}

/// Joins parts so that different parts never give the same bytes.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let with_length = |part: &&[u8]| [&(part.len() as u64).to_be_bytes()[..], part].concat();
    parts.iter().flat_map(with_length).collect()
}
