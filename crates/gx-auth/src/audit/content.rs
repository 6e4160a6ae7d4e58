//! The bytes of an entry that are hashed. Called by the sealer and by everything that checks its
//! work. They never change: hashes of old entries must stay right.

use serde_json::{Value, json};
use time::OffsetDateTime;

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

/// Returns milliseconds since 1970, which is as precise as the database's columns.
pub(super) fn in_milliseconds(at: OffsetDateTime) -> i64 {
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
