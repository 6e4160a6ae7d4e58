//! The audit log: append-only, and each row contains the hash of the row before it. Every change
//! that is audited calls [`append`] in its own transaction; `gx audit verify` calls [`verify`].

use gx_db::{AdminId, PgConnection, ProfileId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::store::{self, AuditRow};

/// Hash before the first row.
const GENESIS: [u8; 32] = [0; 32];

/// Who performed an action.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// The person of the verified session.
    User(&'a ProfileId),
    /// The administrator of the verified session.
    Admin(&'a AdminId),
    /// A process or an operator's command: its name.
    System(&'a str),
}

impl<'a> Actor<'a> {
    /// Returns the id, or the name of a process or command.
    pub fn id(self) -> &'a str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Admin(id) => id.as_str(),
            Self::System(name) => name,
        }
    }
}

/// An action to be recorded. `before` and `after` never contain credentials.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Who performed the action.
    pub actor: Actor<'a>,
    /// Name of the action, such as `user.approved`.
    pub action: &'a str,
    /// Type of the changed object, such as `UserProfile`.
    pub target_type: &'a str,
    /// Id of the changed object.
    pub target_id: Option<&'a str>,
    /// The changed values before the action.
    pub before: Option<Value>,
    /// The changed values after the action.
    pub after: Option<Value>,
    /// The request that performed the action.
    pub request_id: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// Creates an entry without values.
    pub fn new(
        actor: Actor<'a>,
        action: &'a str,
        target_type: &'a str,
        target_id: Option<&'a str>,
        request_id: Option<&'a str>,
    ) -> Self {
        let (before, after) = (None, None);
        Self { actor, action, target_type, target_id, before, after, request_id }
    }
}

/// The first fault in the hash chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditLogFault {
    /// A row is missing.
    #[error("row {0} of the audit log is missing; compare the log with a backup")]
    Missing(i64),
    /// A row was changed after it was written.
    #[error("row {0} of the audit log was changed; compare the row with a backup")]
    Changed(i64),
}

/// Why the hash chain could not be confirmed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The chain has a fault.
    #[error(transparent)]
    Fault(#[from] AuditLogFault),
    /// A row could not be read.
    #[error("the audit log cannot be read: check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Appends an entry in the caller's transaction. Other writers wait until the transaction ends, so
/// append last.
///
/// # Errors
/// `sqlx::Error` if a statement fails; the caller rolls its change back.
pub async fn append(
    conn: &mut PgConnection,
    entry: Entry<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    store::lock_audit_log(conn).await?;
    let (last, previous_hash) =
        store::last_audit_hash(conn).await?.unwrap_or_else(|| (0, GENESIS.to_vec()));
    let actor_type = match entry.actor {
        Actor::User(_) => "USER",
        Actor::Admin(_) => "ADMIN",
        Actor::System(_) => "SYSTEM",
    };
    let mut row = AuditRow {
        seq: last + 1,
        at: now,
        actor_type: actor_type.to_owned(),
        actor_id: Some(entry.actor.id().to_owned()),
        action: entry.action.to_owned(),
        target_type: entry.target_type.to_owned(),
        target_id: entry.target_id.map(str::to_owned),
        before: entry.before,
        after: entry.after,
        request_id: entry.request_id.map(str::to_owned),
        previous_hash,
        hash: Vec::new(),
    };
    row.hash = hash(&row);
    store::insert_audit_row(conn, &row).await
}

/// Confirms the hash chain of the whole log and returns the number of rows.
///
/// # Errors
/// [`VerifyError`] with the first row that is missing or changed, or if a row cannot be read.
pub async fn verify(conn: &mut PgConnection) -> Result<i64, VerifyError> {
    const ROWS_AT_A_TIME: i64 = 1_000;
    let (mut seq, mut previous) = (0, GENESIS.to_vec());
    loop {
        let rows = store::audit_rows(conn, seq, ROWS_AT_A_TIME).await?;
        if rows.is_empty() {
            return Ok(seq);
        }
        for row in rows {
            seq += 1;
            if row.seq != seq {
                return Err(AuditLogFault::Missing(seq).into());
            }
            if row.previous_hash != previous || hash(&row) != row.hash {
                return Err(AuditLogFault::Changed(seq).into());
            }
            previous = row.hash;
        }
    }
}

/// Returns the hash of a row, which covers the hash of the row before it.
fn hash(row: &AuditRow) -> Vec<u8> {
    let content = json!([
        row.seq,
        row.at.unix_timestamp_nanos() / 1_000_000,
        row.actor_type,
        row.actor_id,
        row.action,
        row.target_type,
        row.target_id,
        row.before.as_ref().map(canonical),
        row.after.as_ref().map(canonical),
        row.request_id,
    ]);
    let mut digest = Sha256::new();
    digest.update(&row.previous_hash);
    digest.update(content.to_string());
    digest.finalize().to_vec()
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
