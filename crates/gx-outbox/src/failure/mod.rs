//! What submitter, projector and operators share about failures of commands: classes, budgets and
//! causes, and texts that can be stored.

mod db_error_cause;
mod retry;

use serde_json::Value;

pub use self::db_error_cause::DbErrorCause;
pub use self::retry::{FailureClass, RetryPolicy};

/// Longest error text that is stored, in bytes; a longer text is cut.
const MAX_TEXT_BYTES: usize = 4_000;

/// Returns the text as PostgreSQL can store it: without NUL and at most 4 000 bytes long.
pub fn storable(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect();
    if clean.len() <= MAX_TEXT_BYTES {
        return clean;
    }
    let end = (0..=MAX_TEXT_BYTES).rev().find(|at| clean.is_char_boundary(*at)).unwrap_or(0);
    format!("{}… ({} bytes)", &clean[..end], clean.len())
}

/// Returns the JSON with each of its texts changed by [`storable`].
pub(crate) fn storable_json(json: Value) -> Value {
    match json {
        Value::String(text) => Value::String(storable(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(storable_json).collect()),
        Value::Object(fields) => Value::Object(
            fields.into_iter().map(|(key, value)| (storable(&key), storable_json(value))).collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT_BYTES, storable, storable_json};

    #[test]
    fn a_nul_and_a_megabyte_can_be_stored() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        let long = storable(&"é".repeat(1_000_000));
        assert!(long.len() < MAX_TEXT_BYTES + 40);
        assert!(long.ends_with("… (2000000 bytes)"));
        let json = storable_json(serde_json::json!({ "a\0": ["\0", 1] }));
        assert_eq!(json, serde_json::json!({ "a\u{fffd}": ["\u{fffd}", 1] }));
    }
}
