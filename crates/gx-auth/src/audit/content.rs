//! Entries, batches and rows of the chain, with the bytes of each that are hashed. The sealer and
//! everything that checks its work call these. The bytes never change: hashes of old entries must
//! stay right.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::fault::AuditLogFault;
use super::merkle::{self, Hash};

/// Hash before the first row, and before the first batch.
pub(super) const GENESIS: [u8; 32] = [0; 32];

/// The values of an entry, as the database has them.
pub(super) struct StoredEntry {
    pub(super) seq: i64,
    pub(super) at: OffsetDateTime,
    pub(super) actor_type: String,
    pub(super) actor_id: Option<String>,
    pub(super) action: String,
    pub(super) target_type: String,
    pub(super) target_id: Option<String>,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    pub(super) request_id: Option<String>,
}

impl StoredEntry {
    /// Returns a JSON array of all values.
    pub(super) fn bytes(&self) -> Vec<u8> {
        json!([
            self.seq,
            in_milliseconds(self.at),
            self.actor_type,
            self.actor_id,
            self.action,
            self.target_type,
            self.target_id,
            self.before.as_ref().map(canonical),
            self.after.as_ref().map(canonical),
            self.request_id,
        ])
        .to_string()
        .into_bytes()
    }
}

/// A row of the chain.
pub(super) struct ChainRow {
    pub(super) entry: StoredEntry,
    pub(super) previous_hash: Vec<u8>,
    pub(super) hash: Vec<u8>,
}

/// The end of the chain: number and hash of its last row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChainEnd {
    pub(super) seq: i64,
    pub(super) hash: Vec<u8>,
}

impl ChainEnd {
    /// Returns the end of a chain without rows.
    pub(super) fn empty() -> Self {
        Self { seq: 0, hash: GENESIS.to_vec() }
    }
}

/// A batch: its number from 0, the Merkle root of its entries, and everything else that its hash
/// covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) number: i64,
    pub(super) sealed_at: OffsetDateTime,
    /// Number of its entries; of batch 0 the rows of the chain.
    pub(super) entries: i64,
    pub(super) root: Vec<u8>,
    /// The end of the chain when the batch was sealed.
    pub(super) chain: ChainEnd,
    pub(super) previous_hash: Vec<u8>,
    pub(super) hash: Vec<u8>,
}

impl Batch {
    /// Returns the batch with its hash.
    pub(super) fn hashed(self) -> Self {
        Self { hash: self.expected_hash().to_vec(), ..self }
    }

    /// Returns the hash that the batch must have.
    pub(super) fn expected_hash(&self) -> Hash {
        Sha256::new()
            .chain_update(b"gx audit batch 1\n")
            .chain_update(self.number.to_be_bytes())
            .chain_update(in_milliseconds(self.sealed_at).to_be_bytes())
            .chain_update(self.entries.to_be_bytes())
            .chain_update(&self.root)
            .chain_update(self.chain.seq.to_be_bytes())
            .chain_update(&self.chain.hash)
            .chain_update(&self.previous_hash)
            .finalize()
            .into()
    }
}

/// An entry of a batch, as it was sealed and as it is now.
pub(super) struct SealedEntry {
    pub(super) seq: i64,
    pub(super) position: i32,
    pub(super) leaf_hash: Vec<u8>,
    /// `None` if the entry is missing.
    pub(super) bytes: Option<Vec<u8>>,
    /// The values after the action, with the hashes of texts.
    pub(super) after: Option<Value>,
}

impl SealedEntry {
    /// Returns the hash of the entry, which must be the one that was sealed.
    pub(super) fn leaf(&self) -> Result<Hash, AuditLogFault> {
        let bytes = self.bytes.as_ref().ok_or(AuditLogFault::MissingEntry(self.seq))?;
        let leaf = merkle::leaf(bytes);
        if leaf[..] == self.leaf_hash {
            Ok(leaf)
        } else {
            Err(AuditLogFault::ChangedEntry(self.seq))
        }
    }
}

/// Returns milliseconds since 1970, which is as precise as the database's columns.
fn in_milliseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// Returns the same text for equal values, whatever the order of their keys.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<_> = members.keys().collect();
            keys.sort_unstable();
            let member = |key: &&String| format!("{}:{}", json!(key), canonical(&members[*key]));
            format!("{{{}}}", keys.iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}
