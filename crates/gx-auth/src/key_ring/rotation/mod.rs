//! Re-wraps encrypted values: decrypts those of older master keys and encrypts them with the
//! current one. Called by `gx keys rotate`.
//!
//! Each value is replaced by a statement of its own that checks that the value has not changed. So
//! a rotation may run while services write, may be stopped at any time, and continues where it was,
//! because values of the current key are not selected.

mod store;

use std::collections::BTreeMap;

use gx_db::PgConnection;

use super::{EncryptedValue, KeyRing, Place};
use store::{AnswerKey, VersionCount};

/// Limit of the rows of which the old values are read at once.
const BATCH: i64 = 500;
/// Limit of the rows that are counted at once.
const COUNTED_ROWS: i64 = 10_000;
/// Limit of the values that a report names.
const MAX_NAMED: usize = 20;

/// A column with encrypted values. A test compares the list with the schema: the column next to it
/// has the same name and ends in `KeyVersion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptedColumn {
    /// The secret of a TOTP factor.
    TotpSecret,
    /// A private key that signs tokens.
    TokenKeySecret,
    /// The address, code and token of a mail that waits.
    QueuedMailContent,
}

impl EncryptedColumn {
    /// All columns with encrypted values.
    pub const ALL: [Self; 3] = [Self::TotpSecret, Self::TokenKeySecret, Self::QueuedMailContent];

    /// Returns the place of a row's value.
    pub const fn place(self, row: &str) -> Place<'_> {
        match self {
            Self::TotpSecret => Place { table: "TotpFactor", row, field: "secret" },
            Self::TokenKeySecret => Place { table: "TokenKey", row, field: "secret" },
            Self::QueuedMailContent => Place { table: "QueuedMail", row, field: "content" },
        }
    }
}

/// A value of an older key.
struct OldValue {
    row: String,
    value: EncryptedValue,
}

/// Progress of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationProgress {
    /// Values that were re-wrapped so far.
    pub rewrapped: u64,
    /// Values that had an older key at the start.
    pub of: u64,
}

/// What needs one master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Version of the key.
    pub version: i32,
    /// Whether the key encrypts.
    pub is_current: bool,
    /// Whether the key file has it.
    pub is_present: bool,
    /// Number of values that only this key decrypts.
    pub values: u64,
    /// Number of stored answers to requests with an idempotency key that were hashed with this key.
    /// They cannot be hashed again, and are removed a day later.
    pub answers: u64,
}

impl KeyUse {
    /// Returns whether the key's line may be removed from the key file.
    pub fn is_unused(&self) -> bool {
        self.is_present && !self.is_current && self.values == 0 && self.answers == 0
    }
}

/// Result of [`rotate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationReport {
    /// Values that were re-wrapped.
    pub rewrapped: u64,
    /// Values that cannot be decrypted: at most 20, as `table.column of row: reason`.
    pub failed: Vec<String>,
    /// Number of all values that cannot be decrypted.
    pub failures: u64,
    /// The versions of the key file, and further ones that values have.
    pub keys: Vec<KeyUse>,
}

/// Re-wraps all values of older keys, and tells `progress` after each batch.
///
/// # Errors
/// `sqlx::Error` if a statement fails; values before it stay re-wrapped.
pub async fn rotate(
    conn: &mut PgConnection,
    ring: &KeyRing,
    mut progress: impl FnMut(RotationProgress),
) -> Result<RotationReport, sqlx::Error> {
    let current = ring.current_version();
    let before = key_uses(conn, ring).await?;
    let of = before.iter().filter(|key| !key.is_current).map(|key| key.values).sum();
    let mut report =
        RotationReport { rewrapped: 0, failed: Vec::new(), failures: 0, keys: Vec::new() };
    for column in EncryptedColumn::ALL {
        let mut after = String::new();
        loop {
            let old = store::old_values(conn, column, current, &after, BATCH).await?;
            let Some(last) = old.last else { break };
            after = last;
            for value in &old.values {
                rewrap(conn, ring, column, value, &mut report).await?;
            }
            if !old.values.is_empty() {
                progress(RotationProgress { rewrapped: report.rewrapped, of });
            }
        }
    }
    report.keys = key_uses(conn, ring).await?;
    Ok(report)
}

async fn rewrap(
    conn: &mut PgConnection,
    ring: &KeyRing,
    column: EncryptedColumn,
    old: &OldValue,
    report: &mut RotationReport,
) -> Result<(), sqlx::Error> {
    let place = column.place(&old.row);
    match ring.rewrap(place, &old.value) {
        Ok(Some(new)) => {
            // No row: somebody has replaced or deleted the value meanwhile.
            report.rewrapped += store::replace(conn, column, old, &new).await?;
        }
        Ok(None) => {}
        Err(reason) => {
            report.failures += 1;
            if report.failed.len() < MAX_NAMED {
                let Place { table, row, field } = place;
                report.failed.push(format!("{table}.{field} of {row}: {reason}"));
            }
        }
    }
    Ok(())
}

/// Returns how many values and answers each master key has, by version.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn key_uses(conn: &mut PgConnection, ring: &KeyRing) -> Result<Vec<KeyUse>, sqlx::Error> {
    let present = ring.versions();
    let no_use = |version| KeyUse {
        version,
        is_current: version == ring.current_version(),
        is_present: present.contains(&version),
        values: 0,
        answers: 0,
    };
    let mut uses: BTreeMap<i32, KeyUse> =
        present.iter().map(|version| (*version, no_use(*version))).collect();
    for column in EncryptedColumn::ALL {
        let mut after = String::new();
        loop {
            let part = store::count_by_version(conn, column, &after, COUNTED_ROWS).await?;
            let Some(one) = part.first() else { break };
            after.clone_from(&one.last);
            for VersionCount { version, count, .. } in part.into_iter().filter(|one| one.count > 0)
            {
                uses.entry(version).or_insert_with(|| no_use(version)).values += count;
            }
        }
    }
    let mut after = AnswerKey::default();
    loop {
        let part = store::count_answers_by_version(conn, &after, COUNTED_ROWS).await?;
        let Some(one) = part.first() else { break };
        after = one.last.clone();
        for VersionCount { version, count, .. } in part.into_iter().filter(|one| one.version != 0) {
            uses.entry(version).or_insert_with(|| no_use(version)).answers += count;
        }
    }
    Ok(uses.into_values().collect())
}
