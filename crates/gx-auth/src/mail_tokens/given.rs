//! Codes and tokens as clients send them.

use gx_serve::Entropy;
use gx_serve::fields::{Field, FieldError, text};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::CODES;
use crate::key_ring::KeyRing;

/// Letters of a token, each of four bits: without vowels, so that they form no words, and without
/// digits, so that the code is the only number in a mail.
const ALPHABET: &[u8; 16] = b"bcdfghjkmnpqrstv";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Number of the codes of eight digits.
const CODES_COUNT: u64 = 100_000_000;
/// Limit of a code or token as it is sent, in characters.
const MAX_CHARACTERS: usize = 128;

/// A token of a link.
#[derive(Clone, Debug)]
pub(crate) struct GivenToken(SecretString);

/// A code of a mail. Blanks and dashes do not matter.
#[derive(Clone, Debug)]
pub(crate) struct GivenCode(SecretString);

impl GivenToken {
    /// Draws a token of 256 random bits.
    pub(crate) fn draw(entropy: &Entropy) -> Self {
        let bytes: [u8; TOKEN_BYTES] = entropy.bytes();
        let letters = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let text: String = letters.map(|at| char::from(ALPHABET[usize::from(at)])).collect();
        Self(text.into())
    }

    /// Returns the hash under which the token is stored. With 256 bits it needs no key.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl GivenCode {
    /// Draws a code of eight digits.
    pub(crate) fn draw(entropy: &Entropy) -> Self {
        let number = u64::from_be_bytes(entropy.bytes()) % CODES_COUNT;
        Self(format!("{number:08}").into())
    }

    /// Returns the hashes under which the code of a token may be stored: with the current key
    /// first, then with other keys of the ring. A code has so few digits that it needs a key.
    pub(crate) fn hashes(&self, ring: &KeyRing, token_id: &str) -> Vec<[u8; 32]> {
        let parts = [token_id.as_bytes(), self.0.expose_secret().as_bytes()];
        let hashes = ring.fingerprint_keys(CODES).hashes(&parts);
        std::iter::once(hashes.current()).chain(hashes.others()).copied().collect()
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

fn short_text(value: &Value) -> Result<&str, FieldError> {
    let given = text(value)?;
    if given.chars().count() > MAX_CHARACTERS {
        let message = format!("must have at most {MAX_CHARACTERS} characters");
        return Err(FieldError::new("too_long", message));
    }
    Ok(given)
}

impl Field for GivenToken {
    fn read(value: &Value) -> Result<Self, FieldError> {
        Ok(Self(short_text(value)?.trim().into()))
    }
}

impl Field for GivenCode {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let plain = short_text(value)?.chars().filter(|c| !c.is_whitespace() && *c != '-');
        Ok(Self(plain.collect::<String>().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUTHN-14: a code has eight digits, 26 bits; a token has 256 bits and no digit.
    #[test]
    fn authn_14_codes_have_eight_digits_and_tokens_none() {
        let entropy = Entropy::seeded(1);
        let mut tokens = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            let code = GivenCode::draw(&entropy);
            assert_eq!(code.expose().len(), 8);
            assert!(code.expose().bytes().all(|byte| byte.is_ascii_digit()));
            let token = GivenToken::draw(&entropy);
            assert_eq!(token.expose().len(), 64);
            assert!(token.expose().bytes().all(|byte| ALPHABET.contains(&byte)));
            tokens.insert(token.expose().to_owned());
        }
        assert_eq!(tokens.len(), 1_000);
    }
}
