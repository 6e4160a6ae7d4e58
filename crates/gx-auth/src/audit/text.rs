//! Texts of people in the audit log: reasons and notes. An entry contains only a salted hash of
//! each, so that a text can be erased without changing what is sealed. Salt and text are in a table
//! of their own.

use std::collections::BTreeMap;

use gx_serve::Entropy;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fault::AuditLogFault;

/// Bytes of a salt. It is erased with its text, so that nobody can find a short text by trying.
const SALT_BYTES: usize = 32;
/// The one member of an object that stands for a text.
const HASH_MEMBER: &str = "textHash";

/// A text that is stored apart from its entry.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    /// The member of `after` that stands for the text.
    pub(super) field: &'a str,
    pub(super) text: &'a str,
    pub(super) salt: [u8; SALT_BYTES],
}

impl<'a> Text<'a> {
    pub(super) fn new(field: &'a str, text: &'a str, entropy: &Entropy) -> Self {
        Self { field, text, salt: entropy.bytes() }
    }

    /// Returns what the entry contains instead of the text.
    pub(super) fn reference(&self) -> Value {
        json!({ HASH_MEMBER: hash(&self.salt, self.text) })
    }
}

/// A text as the database has it.
pub(super) struct StoredText {
    pub(super) seq: i64,
    pub(super) field: String,
    /// `None` once the text was erased, as `text`.
    pub(super) salt: Option<Vec<u8>>,
    pub(super) text: Option<String>,
    /// The entry that records the erasure.
    pub(super) erased_by: Option<i64>,
}

/// A text of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TextPlace {
    pub(super) seq: i64,
    pub(super) field: String,
}

/// The hashes of texts that entries contain.
#[derive(Default)]
pub(super) struct TextHashes(BTreeMap<TextPlace, String>);

impl TextHashes {
    /// Adds the hashes of one entry.
    pub(super) fn add(&mut self, seq: i64, after: Option<&Value>) {
        for (field, value) in after.and_then(Value::as_object).into_iter().flatten() {
            let members = value.as_object().filter(|members| members.len() == 1);
            if let Some(Value::String(hash)) = members.and_then(|members| members.get(HASH_MEMBER))
            {
                self.0.insert(TextPlace { seq, field: field.clone() }, hash.clone());
            }
        }
    }

    /// Compares the stored texts of the entries with the hashes. Returns the erased texts, each by
    /// the entry that records its erasure.
    ///
    /// # Errors
    /// [`AuditLogFault::ChangedText`] with the first text that is changed, missing or added.
    pub(super) fn check(
        mut self,
        stored: Vec<StoredText>,
    ) -> Result<Vec<(i64, TextPlace)>, AuditLogFault> {
        let mut erased = Vec::new();
        for StoredText { seq, field, salt, text, erased_by } in stored {
            let changed = AuditLogFault::ChangedText(seq);
            let place = TextPlace { seq, field };
            let expected = self.0.remove(&place).ok_or(changed)?;
            match (salt, text, erased_by) {
                (Some(salt), Some(text), None) if hash(&salt, &text) == expected => {}
                (None, None, Some(by)) => erased.push((by, place)),
                _ => return Err(changed),
            }
        }
        match self.0.into_keys().next() {
            None => Ok(erased),
            Some(missing) => Err(AuditLogFault::ChangedText(missing.seq)),
        }
    }
}

/// Returns the hash of a text in hexadecimal.
fn hash(salt: &[u8], text: &str) -> String {
    let hash = Sha256::new()
        .chain_update(b"gx audit text 1\n")
        .chain_update((salt.len() as u64).to_be_bytes())
        .chain_update(salt)
        .chain_update(text);
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LOG-03: the same text has another hash in each entry, and a hash depends on salt and text.
    #[test]
    fn the_same_text_has_another_hash_each_time() {
        let entropy = Entropy::seeded(1);
        let texts = [(); 2].map(|()| Text::new("reason", "lost", &entropy));
        assert_ne!(texts[0].reference(), texts[1].reference());
        let of = |text: &Text<'_>| text.reference()[HASH_MEMBER].as_str().unwrap().to_owned();
        assert_eq!(of(&texts[0]), hash(&texts[0].salt, "lost"));
        assert_ne!(of(&texts[0]), hash(&texts[0].salt, "found"));
        assert_ne!(hash(b"ab", "c"), hash(b"a", "bc"));
    }
}
