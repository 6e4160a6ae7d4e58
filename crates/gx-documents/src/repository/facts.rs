//! What is known of a document and goes with the person: encrypted with the person's key.

use gx_serve::Entropy;
use serde::{Deserialize, Serialize};

use crate::key_store::PersonKey;
use crate::seal::DamagedFile;

use super::Document;

/// Limit of the name of a file, in characters.
const MAX_FILE_NAME_CHARACTERS: usize = 100;

/// What is encrypted of a document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentFacts {
    /// SHA-256 of the content, in hexadecimal digits.
    pub sha256: String,
    /// The number of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The name of the file, with harmless characters only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
}

impl std::fmt::Debug for DocumentFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DocumentFacts")
    }
}

impl DocumentFacts {
    pub(crate) fn seal(&self, document_id: &str, key: &PersonKey, entropy: &Entropy) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("facts can be written as JSON");
        key.encrypt_facts(document_id, &json, entropy)
    }

    pub(crate) fn open(document: &Document, key: &PersonKey) -> Result<Self, DamagedFile> {
        let sealed = document.facts.as_ref().ok_or(DamagedFile)?;
        Self::open_sealed(&document.document_id, sealed, key)
    }

    pub(crate) fn open_sealed(
        document_id: &str,
        sealed: &[u8],
        key: &PersonKey,
    ) -> Result<Self, DamagedFile> {
        let json = key.decrypt_facts(document_id, sealed)?;
        serde_json::from_slice(&json).map_err(|_| DamagedFile)
    }
}

/// Returns the name of a file without folders and with harmless characters only, or `None` if
/// nothing is left. The file is never stored under it.
pub(crate) fn harmless_file_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_harmless =
        |c: &char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '(' | ')');
    let kept: String = last.chars().filter(is_harmless).take(MAX_FILE_NAME_CHARACTERS).collect();
    let kept = kept.trim_matches(['.', ' ']).to_owned();
    (!kept.is_empty()).then_some(kept)
}
