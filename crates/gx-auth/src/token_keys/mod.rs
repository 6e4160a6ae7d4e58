//! The keys that sign tokens: the one of the settings, and those in the database that replace it.
//!
//! [`crate::Tokens`] signs and verifies with a [`KeySet`]. `gx keys signing` adds and retires keys
//! in the database by the functions of [`rotation`]. A key is known to every process before it
//! signs, and is accepted until the last token that it has signed is over.

mod file;
pub mod rotation;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use gx_db::PgConnection;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use secrecy::ExposeSecret;
use time::OffsetDateTime;

use crate::key_ring::rotation::EncryptedColumn;
use crate::key_ring::{DecryptError, KeyRing};
pub(crate) use file::read_key;
pub use file::{TokenKeyError, create_key_file};

/// A key that signs, or has signed, tokens.
pub(crate) struct SigningKey {
    /// Id that tokens name, or `None` for a shared secret.
    pub(crate) id: Option<String>,
    pub(crate) signing: EncodingKey,
    pub(crate) verifying: DecodingKey,
    /// The public key, or `None` for a shared secret.
    pub(crate) public: Option<Jwk>,
}

impl SigningKey {
    /// Returns the key of a deployment that signs with a secret.
    pub(crate) fn shared_secret(secret: &[u8]) -> Self {
        let (signing, verifying) =
            (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
        Self { id: None, signing, verifying, public: None }
    }

    /// Returns an Ed25519 key, whose id is the thumbprint of its public key.
    fn ed25519(signing: EncodingKey) -> Result<Self, jsonwebtoken::errors::Error> {
        let mut public = Jwk::from_encoding_key(&signing, Algorithm::EdDSA)?;
        let id = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let verifying = DecodingKey::from_jwk(&public)?;
        Ok(Self { id: Some(id), signing, verifying, public: Some(public) })
    }
}

/// A key's turn in the order in which keys sign.
#[derive(Clone)]
pub(crate) struct KeyTurn {
    /// Time from which the key signs.
    pub(crate) from: OffsetDateTime,
    /// `None` if the key was retired, or cannot be used here: it neither signs nor verifies.
    pub(crate) key: Option<Arc<SigningKey>>,
}

/// The keys that a process knows.
pub(crate) struct KeySet {
    /// In the order in which they sign. The first one is that of the settings.
    turns: Vec<KeyTurn>,
    /// Keys that are accepted as long as the settings name them.
    old: Vec<Arc<SigningKey>>,
    /// Time for which a key is accepted after the next one has begun to sign.
    accepted_for: time::Duration,
}

impl KeySet {
    /// Creates a set with the keys of the settings.
    pub(crate) fn new(
        first: SigningKey,
        old: Vec<SigningKey>,
        accepted_for: time::Duration,
    ) -> Self {
        let first = KeyTurn { from: OffsetDateTime::UNIX_EPOCH, key: Some(Arc::new(first)) };
        Self { turns: vec![first], old: old.into_iter().map(Arc::new).collect(), accepted_for }
    }

    /// Returns the key that signs a token which is issued at this time. It depends on nothing else,
    /// so that a token that is issued again is the same.
    pub(crate) fn signer(&self, issued: OffsetDateTime) -> &SigningKey {
        let mut begun = self.turns.iter().rev().filter(|turn| turn.from <= issued);
        begun
            .find_map(|turn| turn.key.as_deref())
            .expect("the key of the settings always has begun")
    }

    /// Returns the keys with which tokens are accepted at this time, among them those that will
    /// sign later.
    pub(crate) fn accepted(&self, now: OffsetDateTime) -> impl Iterator<Item = &SigningKey> {
        let accepted_for = self.accepted_for;
        let ends = self.turns.iter().skip(1).map(move |next| next.from.checked_add(accepted_for));
        let turns = self.turns.iter().zip(ends.chain([None]));
        let open = turns.filter(move |(_, end)| end.is_none_or(|end| now < end));
        let keys = open.filter_map(|(turn, _)| turn.key.as_deref());
        keys.chain(self.old.iter().map(|key| &**key))
    }

    /// Reads the keys of the database and returns the set with them, and why one of them cannot be
    /// used, if so. Such a key neither signs nor verifies. Keys that are known already are not
    /// decrypted again.
    ///
    /// # Errors
    /// `sqlx::Error` if the database fails.
    pub(crate) async fn read(
        &self,
        conn: &mut PgConnection,
        ring: &KeyRing,
    ) -> Result<(Self, Option<KeyError>), sqlx::Error> {
        let mut turns: Vec<KeyTurn> = self.turns.iter().take(1).cloned().collect();
        let mut unusable = None;
        for row in store::keys(conn).await? {
            let key = match row.secret {
                None => None,
                Some(secret) => match self.known(&row.key_id) {
                    Some(key) => Some(Arc::clone(key)),
                    None => match decrypt(ring, &row.key_id, &secret) {
                        Ok(key) => Some(Arc::new(key)),
                        Err(error) => {
                            unusable.get_or_insert(error);
                            None
                        }
                    },
                },
            };
            turns.push(KeyTurn { from: row.signs_from, key });
        }
        let keys = Self { turns, old: self.old.clone(), accepted_for: self.accepted_for };
        Ok((keys, unusable))
    }

    fn known(&self, id: &str) -> Option<&Arc<SigningKey>> {
        let mut keys = self.turns.iter().filter_map(|turn| turn.key.as_ref());
        keys.find(|key| key.id.as_deref() == Some(id))
    }
}

/// Why a key of the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The key ring does not decrypt a key.
    #[error("signing key {id} cannot be decrypted")]
    Decrypt { id: String, source: DecryptError },
    /// The content is no key.
    #[error("signing key {id} is no Ed25519 key; retire it with `gx keys signing retire {id}`")]
    Key { id: String, source: jsonwebtoken::errors::Error },
}

fn decrypt(
    ring: &KeyRing,
    id: &str,
    secret: &crate::key_ring::EncryptedValue,
) -> Result<SigningKey, KeyError> {
    let place = EncryptedColumn::TokenKeySecret.place(id);
    let der = ring
        .decrypt(place, secret)
        .map_err(|source| KeyError::Decrypt { id: id.to_owned(), source })?;
    SigningKey::ed25519(EncodingKey::from_ed_der(der.expose_secret()))
        .map_err(|source| KeyError::Key { id: id.to_owned(), source })
}
