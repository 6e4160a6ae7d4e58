//! Failed tries: charged to their class, put off, and given up at the class's limit.

use gx_db::PgConnection;
use rand::Rng;
use serde_json::Value;
use time::OffsetDateTime;

use crate::retry::{FailureClass, RetryPolicy};
use crate::store::commands;

/// Longest error text that is stored, in bytes.
const MAX_TEXT_BYTES: usize = 4_000;

/// How tries ended.
#[derive(Clone, Copy, Debug)]
pub struct Fate<'a> {
    /// Why.
    pub class: FailureClass,
    /// In words, as somebody else wrote them: any length, any bytes.
    pub message: &'a str,
    /// Where the commands stand: PENDING before an envelope was stored, else SUBMITTED.
    pub from_status: &'static str,
}

/// Puts failed commands back: PENDING with a delay, or given up where the budget of the
/// class is spent. A command that was never sent is DEAD at once. One that was goes on as
/// PENDING and is to be cancelled on the ledger first; it is DEAD when that is valid.
///
/// Returns the ids that were given up.
///
/// # Errors
/// The database's.
pub async fn put_back(
    conn: &mut PgConnection,
    ids: &[String],
    fate: Fate<'_>,
    policy: &RetryPolicy,
    rng: &mut impl Rng,
    now: OffsetDateTime,
) -> Result<Vec<String>, sqlx::Error> {
    let message = storable(fate.message);
    let mut given_up = Vec::new();
    for row in commands::failing(conn, ids, fate.from_status, fate.class.name()).await? {
        let charged = u32::try_from(row.charged).unwrap_or(u32::MAX).saturating_add(1);
        let spent = charged >= policy.budget(fate.class) && row.give_up.is_none();
        let next_attempt_at =
            if spent { now } else { now + policy.delay(fate.class, charged, rng) };
        let give_up = (spent && row.was_sent)
            .then(|| serde_json::json!({ "to": "DEAD", "reason": message, "by": "submitter" }));
        let change = commands::Failure {
            command_id: &row.command_id,
            from_status: fate.from_status,
            status: if spent && !row.was_sent { "DEAD" } else { "PENDING" },
            class: fate.class.name(),
            message: &message,
            next_attempt_at,
            give_up: give_up.as_ref(),
        };
        commands::fail(conn, &change, now).await?;
        if spent {
            given_up.push(row.command_id);
        }
    }
    if !given_up.is_empty() {
        tracing::error!(commands = ?given_up, class = fate.class.name(), reason = message,
            "commands are given up; retry or discard them");
    }
    Ok(given_up)
}

/// A text that PostgreSQL stores: no NUL, and no longer than somebody would read.
pub fn storable(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect();
    if clean.len() <= MAX_TEXT_BYTES {
        return clean;
    }
    let end = (0..=MAX_TEXT_BYTES).rev().find(|at| clean.is_char_boundary(*at)).unwrap_or(0);
    format!("{}… ({} bytes)", &clean[..end], clean.len())
}

/// JSON that a jsonb column stores: the same, for every text in it.
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
        assert!(long.len() < MAX_TEXT_BYTES + 40 && long.ends_with("… (2000000 bytes)"));
        let json = storable_json(serde_json::json!({ "a\0": ["\0", 1] }));
        assert_eq!(json, serde_json::json!({ "a\u{fffd}": ["\u{fffd}", 1] }));
    }
}
