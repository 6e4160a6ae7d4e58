//! Keyed hashes by which the same file or number is found under other people. Nobody without the
//! key ring can test a number against the database.

use gx_auth::KeyRing;
use gx_serve::FingerprintKeys;

use super::facts::DocumentFacts;

/// Purpose of the hashes of contents.
const CONTENT: &str = "document content";
/// Purpose of the hashes of numbers.
const NUMBER: &str = "document number";

/// The keys of the hashes. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct FingerprintRing {
    content: FingerprintKeys,
    number: FingerprintKeys,
}

/// The hashes of one document: those it is stored with, and those it may be found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprints {
    pub(crate) key_version: i32,
    /// As the column `sha256` has it: in hexadecimal digits.
    pub(crate) content: String,
    pub(crate) number: Option<Vec<u8>>,
    /// Hashes of the content by the keys of all versions.
    pub(crate) all_contents: Vec<String>,
    /// Hashes of the number by the keys of all versions.
    pub(crate) all_numbers: Vec<Vec<u8>>,
}

impl FingerprintRing {
    pub(crate) fn new(ring: &KeyRing) -> Self {
        Self { content: ring.fingerprint_keys(CONTENT), number: ring.fingerprint_keys(NUMBER) }
    }

    pub(crate) fn of(&self, facts: &DocumentFacts) -> Fingerprints {
        let content = self.content.hashes(&[facts.sha256.as_bytes()]);
        let number = facts.number.as_deref().map(normal_number).filter(|number| !number.is_empty());
        let number = number.map(|number| self.number.hashes(&[number.as_bytes()]));
        let others = content.others().map(hex::encode);
        let all_contents = std::iter::once(hex::encode(content.current())).chain(others).collect();
        let all_numbers = number.as_ref().map_or_else(Vec::new, |hashes| {
            std::iter::once(hashes.current())
                .chain(hashes.others())
                .map(|hash| hash.to_vec())
                .collect()
        });
        Fingerprints {
            key_version: content.version(),
            content: hex::encode(content.current()),
            number: number.map(|hashes| hashes.current().to_vec()),
            all_contents,
            all_numbers,
        }
    }
}

/// Returns a number without what people write differently: spaces, signs and case.
fn normal_number(number: &str) -> String {
    number.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}
